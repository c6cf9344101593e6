#!/usr/bin/env bash
# Installs what `make lint` and the tests need into a folder, once for each version: cargo-deny, ruff, helm; and shellcheck from Debian.
#
#   tools/install.sh FOLDER
set -euo pipefail

folder=${1:?usage: tools/install.sh FOLDER}
ruff=0.15.1
deny=0.20.2
helm=v3.19.0
mkdir -p "$folder/bin"

if ! command -v shellcheck >/dev/null; then
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends shellcheck >/dev/null
fi

if [[ $("$folder/venv/bin/ruff" --version 2>/dev/null) != "ruff $ruff" ]]; then
    /usr/bin/python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet "ruff==$ruff"
fi

if [[ $("$folder/bin/cargo-deny" --version 2>/dev/null) != "cargo-deny $deny" ]]; then
    echo "building cargo-deny $deny: some minutes, once"
    CARGO_TARGET_DIR="$folder/build" cargo install --quiet --locked --root "$folder" --version "$deny" cargo-deny
    rm -rf "$folder/build"
fi

# A helm that was built so does not know its own version, so its file is called by it.
if [[ ! -x $folder/bin/helm-$helm ]]; then
    echo "building helm $helm: some minutes, once"
    GOBIN="$folder/build" go install "helm.sh/helm/v3/cmd/helm@$helm"
    mv "$folder/build/helm" "$folder/bin/helm-$helm"
    rm -rf "$folder/build"
fi
ln -sf "helm-$helm" "$folder/bin/helm"
