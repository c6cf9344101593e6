#!/usr/bin/env bash
# Builds Kuryr's images as archives, with the Dockerfiles that everybody uses. `make images` calls it; docs/images.md explains.
#
#   tools/images.sh [FOLDER]     where the archives go, and kuryrctl beside them; ~/.cache/kuryr/images if not given
#   FRESH=1 tools/images.sh …    without any layer of earlier builds
#
# Uses the machine's Docker if one answers. Else it runs one of its own for the time of the build, from Debian's package, and where no
# registry answers it makes the builder's image from Debian and this machine's Rust.
set -euo pipefail

cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kuryr
folder=${1:-$cache/images}
engine=$cache/docker
context=$cache/images-context
builder=$(sed -n 's/^FROM \(docker[^ ]*\) AS build$/\1/p' controller.Dockerfile)
sources=(Cargo.toml Cargo.lock crates e2e/Cargo.toml e2e/src controller.Dockerfile cni.Dockerfile .dockerignore)
network=default

say() { printf 'images: %s\n' "$*" >&2; }

main() {
    local key
    # Two builds at once would share an engine that the first to end takes away.
    mkdir -p "$cache"
    exec {lock}> "$cache/images.lock"
    flock "$lock"
    key=$(fingerprint)
    if [[ -f $folder/key && $(<"$folder/key") == "$key" ]]; then
        say "nothing has changed since the last time"
    else
        mkdir -p "$folder"
        rm -f "$folder/key"
        install_packages
        docker info > /dev/null 2>&1 || start_engine
        has_builder || make_builder
        fill_context
        build controller kuryr/controller:latest controller.Dockerfile ${FRESH:+--no-cache}
        # The programs of all three are made by the same layers: they are fresh now.
        build cni kuryr/cni:latest cni.Dockerfile
        build cni-daemonless kuryr/cni:daemonless cni.Dockerfile --build-arg CNI_DAEMON=False
        take_out kuryr/controller:latest kuryrctl
        docker image prune --force --filter until=72h > /dev/null
        printf '%s\n' "$key" > "$folder/key"
    fi
    for archive in "$folder"/*.tar; do
        printf '%s  %s  %s\n' "$(tar -xOf "$archive" ./index.json | jq -r '.manifests[0].digest')" "$(stat -c %s "$archive")" "$archive"
    done
}

# What this script calls, if Debian has it and the machine has not.
install_packages() {
    local -A package=([jq]=jq [debootstrap]=debootstrap [containerd]=containerd [runc]=runc)
    local program missing=()
    for program in "${!package[@]}"; do command -v "$program" > /dev/null || missing+=("${package[$program]}"); done
    if [[ ${#missing[@]} -gt 0 ]]; then
        say "installing ${missing[*]}"
        apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
    fi
}

# A program of an image, for this machine.
take_out() {
    local container
    container=$(docker create "$1")
    docker cp --follow-link "$container:/$2" "$folder/$2" > /dev/null
    docker rm "$container" > /dev/null
}

# Those that are there: git lists also what was deleted since the last commit.
files() {
    git ls-files -z --cached --others --exclude-standard -- "${sources[@]}" | while IFS= read -r -d '' file; do
        [[ ! -e $file ]] || printf '%s\0' "$file"
    done
}

fingerprint() {
    { files | sort -z | xargs -0 sha256sum; sha256sum tools/images.sh; rustc --version; revision; } | sha256sum | cut -d ' ' -f 1
}

# The last commit that changed what goes into the images.
revision() {
    git log -1 --format=%H -- "${sources[@]}"
    [[ -z $(git status --porcelain -- "${sources[@]}") ]] || echo "changed since"
}

start_engine() {
    mkdir -p "$engine"
    if [[ ! -x $engine/debian/usr/sbin/dockerd ]]; then
        say "unpacking Debian's docker.io"
        (cd "$engine" && { apt-get download -qq docker.io 2> /dev/null || { apt-get update -qq && apt-get download -qq docker.io; }; } && dpkg -x docker.io_*.deb debian && rm docker.io_*.deb)
    fi
    export PATH=$engine/debian/usr/sbin:$engine/debian/usr/bin:$PATH DOCKER_HOST=unix://$engine/docker.sock DOCKER_BUILDKIT=0
    trap 'kill "$dockerd"; wait "$dockerd" || true' EXIT
    network=none
    # It gives up on its containerd after 15 s, which a machine that is busy may need for it.
    local until=$((SECONDS + 120))
    while ((SECONDS < until)); do
        dockerd --data-root "$engine/data" --exec-root "$engine/exec" --host "$DOCKER_HOST" --pidfile "$engine/docker.pid" \
            --iptables=false --ip6tables=false --bridge=none > "$engine/dockerd.log" 2>&1 {lock}>&- &
        dockerd=$!
        while ((SECONDS < until)) && kill -0 "$dockerd" 2> /dev/null; do
            docker info > /dev/null 2>&1 && return
            sleep 0.2
        done
    done
    say "dockerd does not start: see $engine/dockerd.log"
    exit 1
}

has_builder() {
    docker image inspect "$builder" > /dev/null 2>&1 || timeout 120 docker pull -q "$builder" > /dev/null 2>&1
}

# What the Dockerfiles need of the official image: Debian with a C compiler, and Rust.
make_builder() {
    local suite=${builder##*-} root
    say "no registry gives $builder: making one from Debian $suite and $(rustc --version)"
    root=$(mktemp -d "$engine/builder.XXXXXX")
    debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates "$suite" "$root" "$(mirror "$suite")" > "$engine/debootstrap.log"
    cp -a "$(rustc --print sysroot)"/{bin,lib} "$root/usr/local/"
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/{doc,man,locale}
    tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV CARGO_HOME=/usr/local/cargo' - "$builder" > /dev/null
    rm -rf "$root"
}

# The one that this machine uses.
mirror() {
    # shellcheck disable=SC2016 # apt puts its own values there
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $1" | head -n 1
}

fill_context() {
    mkdir -p "$context"
    find "$context" -mindepth 1 -maxdepth 1 ! -name vendor -exec rm -rf {} +
    files | tar --null --files-from - -c | tar -x -C "$context"
    cargo vendor --locked --versioned-dirs "$context/vendor" > /dev/null 2> "$context/vendor.log" || {
        cat "$context/vendor.log" >&2
        exit 1
    }
}

build() {
    local name=$1 tag=$2 file=$3 epoch version
    shift 3
    say "building $tag"
    epoch=$(git log -1 --format=%ct -- "${sources[@]}")
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
    docker build --network "$network" -t "$tag" -f "$context/$file" "$@" --build-arg "SOURCE_DATE_EPOCH=$epoch" \
        --build-arg "VERSION=$version" --build-arg "REVISION=$(revision | tr '\n' ' ' | sed 's/ *$//')" "$context" > "$folder/$name.log" 2>&1 || {
        tail -n 40 "$folder/$name.log" >&2
        exit 1
    }
    tools/image-archive.sh "$tag" "$epoch" "$folder/$name.tar"
}

main
