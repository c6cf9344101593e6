# The image kuryr/cni: the daemon of a node, the CNI plugin that it installs, a CA bundle, and nothing else. See docs/images.md.
#
#   docker build -t kuryr/cni -f cni.Dockerfile .
#   docker build -t kuryr/cni -f cni.Dockerfile --build-arg CNI_DAEMON=False .     # without daemon: the plugin does all by itself

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
ARG CNI_DAEMON=True
# Accepted for the sake of old build scripts.
ARG UPPER_CONSTRAINTS_FILE
ARG OSLO_LOCK_PATH
ARG RDO_REPO
RUN for name in UPPER_CONSTRAINTS_FILE OSLO_LOCK_PATH RDO_REPO; do \
        if printenv "$name" > /dev/null; then echo "NOTE: the build argument $name is accepted and has no use any more"; fi; done
# Old DaemonSets start `cni_ds_init`. Without a daemon its program is the plugin too.
RUN mkdir -p /content/etc/ssl/certs /content/etc/kuryr /content/usr/local/bin \
    && cp /built/kuryr-daemon /content/ \
    && case "$CNI_DAEMON" in \
        [Tt]rue) cp /built/kuryr-cni /content/ ;; \
        [Ff]alse) ;; \
        *) echo "the build argument CNI_DAEMON is '$CNI_DAEMON'; True and False are known" >&2; exit 1 ;; esac \
    && ln -s /kuryr-daemon /content/usr/local/bin/cni_ds_init \
    && cp -L /etc/ssl/certs/ca-certificates.crt /content/etc/ssl/certs/ \
    && echo 'root:x:0:0::/:/sbin/nologin' > /content/etc/passwd \
    && echo 'root:x:0:' > /content/etc/group \
    && echo 'hosts: files dns' > /content/etc/nsswitch.conf \
    && mkdir -m 1777 /content/tmp \
    && find /content -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
ARG CNI_DAEMON=True
LABEL org.opencontainers.image.title="kuryr-cni" \
      org.opencontainers.image.description="Kuryr's daemon and CNI plugin: connects a node's pods to OpenStack Neutron" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=content /content/ /
ENV PATH=/usr/local/bin:/ SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt CNI_DAEMON=$CNI_DAEMON
ENTRYPOINT ["/kuryr-daemon"]
CMD ["--config-file", "/etc/kuryr/kuryr.conf"]
