#!/usr/bin/env bash
# Writes an image of the local Docker as an archive that depends on nothing but the image's content: the same content gives the same
# digest, on whichever day and by whichever engine it was built. The archive is an OCI layout that `docker load` takes as well.
#
#   tools/image-archive.sh TAG EPOCH TARGET
set -euo pipefail

tag=$1 epoch=$2 target=$3
created=$(date --utc --date "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
saved=$work/saved content=$work/content layout=$work/layout
mkdir -p "$saved" "$content" "$layout/blobs/sha256"

same_tar() { tar -C "$1" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=gnu -cf "$2" .; }

# Puts a file among the blobs, and prints how others refer to it.
blob() {
    local digest
    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    jq -nc --arg type "$2" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$1")" '{mediaType: $type, digest: $digest, size: $size}'
    mv "$1" "$layout/blobs/sha256/$digest"
}

docker save "$tag" | tar -x -C "$saved"
# The images are one layer; an engine may add empty ones.
jq -r '.[0].Layers[]' "$saved/manifest.json" | while read -r layer; do tar -x --numeric-owner -C "$content" -f "$saved/$layer"; done
same_tar "$content" "$work/layer"
diff_id="sha256:$(sha256sum "$work/layer" | cut -d ' ' -f 1)"
layer=$(blob "$work/layer" application/vnd.oci.image.layer.v1.tar)

jq -c --arg created "$created" --arg diff_id "$diff_id" '{
    created: $created, architecture, os,
    config: (.config | {User, Env, Entrypoint, Cmd, WorkingDir, Labels} | with_entries(select(.value != null and .value != ""))),
    rootfs: {type: "layers", diff_ids: [$diff_id]},
    history: [{created: $created, created_by: "Dockerfile"}]
}' "$saved/$(jq -r '.[0].Config' "$saved/manifest.json")" > "$work/config"
config=$(blob "$work/config" application/vnd.oci.image.config.v1+json)

jq -nc --argjson config "$config" --argjson layer "$layer" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]}' > "$work/manifest"
manifest=$(blob "$work/manifest" application/vnd.oci.image.manifest.v1+json)

path() { jq -r '.digest | sub(":"; "/") | "blobs/" + .' <<< "$1"; }
echo '{"imageLayoutVersion":"1.0.0"}' > "$layout/oci-layout"
jq -nc --argjson manifest "$manifest" --arg tag "$tag" '{schemaVersion: 2, manifests: [$manifest + {annotations: {
    "io.containerd.image.name": ("docker.io/" + $tag), "org.opencontainers.image.ref.name": ($tag | split(":")[1])}}]}' > "$layout/index.json"
jq -nc --arg tag "$tag" --arg config "$(path "$config")" --arg layer "$(path "$layer")" \
    '[{Config: $config, RepoTags: [$tag], Layers: [$layer]}]' > "$layout/manifest.json"
same_tar "$layout" "$target.new"
mv "$target.new" "$target"
