# The image kuryr/controller: the programs, a CA bundle, and nothing else. See docs/images.md.
#
#   docker build -t kuryr/controller -f controller.Dockerfile .

# Both images begin with the same lines, so that an engine does this work once.
# Manifests without code: what the layer of dependencies below is built from, so that it outlives changes of the code.
FROM docker.io/library/rust:1.95-bookworm AS skeleton
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates/
COPY e2e e2e/
RUN find . -type f ! -name 'Cargo.*' ! -path '*/src/lib.rs' ! -path '*/src/main.rs' -delete \
    && find . -name lib.rs -exec truncate -s 0 {} + \
    && find . -name main.rs -exec sh -c 'for file; do echo "fn main() { }" > "$file"; done' - {} + \
    && find . -type d -empty -delete

FROM docker.io/library/rust:1.95-bookworm AS build
# Crates that `cargo vendor` put into the folder `vendor`, if it is there; else they come from crates.io.
COPY Cargo.toml vendo[r] /vendor/
RUN mkdir -p "$CARGO_HOME" && rm /vendor/Cargo.toml && if [ -n "$(ls /vendor)" ]; then \
        printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "/vendor"\n[net]\noffline = true\n' \
        > "$CARGO_HOME/config.toml"; fi
# Static programs, and none of this stage's paths in them.
ENV RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=/src=kuryr --remap-path-prefix=/vendor=crates --remap-path-prefix=/usr/local/cargo/registry/src=crates"
RUN printf '%s\n' '#!/bin/sh' 'set -eu' \
        'build() { cargo build --locked --target "$(rustc -vV | sed -n "s/^host: //p")" --target-dir /target "$@"; }' \
        'build --release -p kuryr-daemon -p kuryrctl' \
        'build --profile cni -p kuryr-cni' > /usr/local/bin/build-kuryr \
    && chmod +x /usr/local/bin/build-kuryr
WORKDIR /src
COPY --from=skeleton /src ./
RUN build-kuryr
COPY crates crates/
# Cargo looks at times, and the code is older than its skeleton.
RUN find crates -name '*.rs' -exec touch {} + && build-kuryr && mkdir /built \
    && find /target/*/release /target/*/cni -maxdepth 1 -type f -name 'kuryr*' -perm -u+x -exec cp {} /built/ \; && ls -l /built

FROM build AS content
ARG SOURCE_DATE_EPOCH=0
# Accepted for the sake of old build scripts.
ARG UPPER_CONSTRAINTS_FILE
ARG OSLO_LOCK_PATH
ARG RDO_REPO
RUN for name in UPPER_CONSTRAINTS_FILE OSLO_LOCK_PATH RDO_REPO; do \
        if printenv "$name" > /dev/null; then echo "NOTE: the build argument $name is accepted and has no use any more"; fi; done
RUN mkdir -p /content/etc/ssl/certs /content/etc/kuryr \
    && cp /built/kuryrctl /content/kuryr-k8s-controller \
    && for name in kuryrctl kuryr-k8s-sanity kuryr-k8s-status kuryr-status; do ln -s kuryr-k8s-controller "/content/$name"; done \
    && cp -L /etc/ssl/certs/ca-certificates.crt /content/etc/ssl/certs/ \
    && echo 'kuryr:x:1000:1000::/:/sbin/nologin' > /content/etc/passwd \
    && echo 'kuryr:x:1000:' > /content/etc/group \
    && echo 'hosts: files dns' > /content/etc/nsswitch.conf \
    && mkdir -m 1777 /content/tmp \
    && find /content -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kuryr-controller" \
      org.opencontainers.image.description="Kuryr's controller: OpenStack Neutron ports for Kubernetes pods" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=content /content/ /
ENV PATH=/ SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 1000:1000
ENTRYPOINT ["/kuryr-k8s-controller"]
CMD ["--config-dir", "/etc/kuryr"]
