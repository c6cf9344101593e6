#!/usr/bin/env bash
# Writes the definitions that install Kuryr on a cluster, by the arguments and variables of the Python Kuryr:
#
#   tools/generate_k8s_resource_definitions.sh <output_dir> [<controller_conf_path>] [<cni_conf_path>] [<ca_certificate_path>]
#   tools/generate_k8s_resource_definitions.sh <output_dir> [<conf_path>] [<ca_certificate_path>]
#
# `kuryrctl generate` does the work; `kuryrctl generate --help` lists the variables.
set -euo pipefail

if [[ $# -lt 1 || $# -gt 4 || -z $1 || $1 == -* ]]; then
    sed -n 's/^#   //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A variable that is set and empty is one that is not set, but for the driver, which can be left out so.
for name in "${!KURYR_@}" CA_CERTIFICATE_PATH CONTAINER_ENGINE VAR_RUN_PATH CNI_PLUGIN_DIR CNI_CONF_DIR; do
    if [[ $name != KURYR_K8S_BINDING_DRIVER && -z ${!name-} ]]; then unset "$name"; fi
done

# One that is installed, then the newest that was built here, then one to be built.
target=${CARGO_TARGET_DIR:-$here/target}
built=$(find "$target" "$HOME/.cache/kuryr/target" -maxdepth 3 -type f -name kuryrctl -perm -u+x -printf '%T@ %p\n' 2>/dev/null |
    sort -n | tail -n 1 | cut -d ' ' -f 2- || true)
if [[ -n ${KURYRCTL:-} ]]; then
    command=("$KURYRCTL")
elif command -v kuryrctl >/dev/null; then
    command=(kuryrctl)
elif [[ -n $built ]]; then
    command=("$built")
elif command -v cargo >/dev/null; then
    command=(cargo run --locked --quiet --manifest-path "$here/Cargo.toml" -p kuryrctl --)
else
    echo "generate_k8s_resource_definitions.sh: there is no kuryrctl: install it, or Rust, with which it is built" >&2
    exit 1
fi
exec "${command[@]}" generate --out "$@"
