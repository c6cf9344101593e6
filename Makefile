# The one entry for people and for CI. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Build results outlive a checkout: what a fresh clone has in common with the last one is not built again.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/kuryr/target
export CARGO_TERM_COLOR ?= auto
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
STATIC := RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --target $(HOST)
RELEASE := $(CARGO_TARGET_DIR)/$(HOST)/release
PLUGIN := $(CARGO_TARGET_DIR)/$(HOST)/cni
DEBUG := $(CARGO_TARGET_DIR)/debug
IMAGES := $(HOME)/.cache/kuryr/images
TOOLS := $(HOME)/.cache/kuryr/tools
FUZZ_SECONDS ?= 5

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-12s %s\n", $$1, $$2 }'

.PHONY: demo
demo: lab-up images ## build, bring the lab up, install Kuryr in it and show two pods talking through their Neutron ports; NESTED=1: and one on a virtual machine
	tools/demo.sh "$(IMAGES)"

.PHONY: test
test: ## everything that must pass, the lab included
	tools/test.sh

.PHONY: lint
lint: tools ## formatting, clippy, rustdoc, licences and bans, shell and Python
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet
	cargo fetch --locked --quiet # also what other systems need, at which cargo-deny looks
	"$(TOOLS)/bin/cargo-deny" --offline check bans licenses sources
	shellcheck -x $$(tools/shell-scripts.sh)
	"$(TOOLS)/venv/bin/ruff" check --config lab/ruff.toml lab bench
	"$(TOOLS)/venv/bin/ruff" format --check --config lab/ruff.toml lab bench

.PHONY: bench
bench: build lab-up ## measure, and write docs/benchmarks.md
	bench/run.sh "$(RELEASE)" "$(PLUGIN)"

.PHONY: lab-up
lab-up: ## bring the lab up: a real OpenStack and a real Kubernetes with two nodes
	lab/lab up

.PHONY: lab-down
lab-down: ## stop the lab and leave nothing behind
	lab/lab down

.PHONY: build
build: ## build the programs: release, static
	$(STATIC) --release -p kuryr-controller -p kuryr-daemon -p kuryrctl
	$(STATIC) --profile cni -p kuryr-cni
	@ls -l "$(RELEASE)"/{kuryr-k8s-controller,kuryr-daemon,kuryrctl} "$(PLUGIN)/kuryr-cni" | awk '{ print $$5, $$9 }'

.PHONY: images
images: ## build the container images, as archives in ~/.cache/kuryr/images
	tools/images.sh "$(IMAGES)"

.PHONY: images-twice
images-twice: images ## build the container images once more, from nothing, and see that they are the same
	again=$$(mktemp -d); trap 'rm -rf "$$again"' EXIT; FRESH=1 tools/images.sh "$$again"; \
	for image in controller cni cni-daemonless; do cmp "$(IMAGES)/$$image.tar" "$$again/$$image.tar"; done; echo "the same, to the byte"

.PHONY: fmt
fmt: tools ## format Rust and Python
	cargo fmt --all
	"$(TOOLS)/venv/bin/ruff" format --config lab/ruff.toml lab bench

.PHONY: generate
generate: tools ## write what is generated from the code: custom resource definitions, docs/configuration.md, tests' expectations
	cargo run --locked --quiet -p kuryrctl -- crds --out kubernetes_crds/kuryr_crds
	cargo run --locked --quiet -p kuryrctl -- crds --out deploy/helm/kuryr/crds
	KURYR_UPDATE=1 cargo test --locked --quiet -p kuryrctl --test install
	cargo run --locked --quiet -p kuryrctl -- config docs > docs/configuration.md

.PHONY: tools
tools: ## install what lint and tests need, under ~/.cache/kuryr/tools
	tools/install.sh "$(TOOLS)"
