#!/usr/bin/env bash
# Builds the controller's image, gives it to the cluster's container runtime on this machine, and replaces the running controller.
#
#   contrib/regenerate_controller_pod.sh
#
# For a cluster whose controller runs on this machine, or on nodes that share this machine's images. Finds by itself where the
# controller runs and which runtime there is; these variables have the last word:
#
#   KURYR_NAMESPACE   the controller's namespace
#   KURYR_RUNTIME     docker, podman, nerdctl or ctr
#   KURYR_IMAGE       the image's name; else the one that the Deployment has
set -euo pipefail

cd "$(dirname "$0")/.."
selector=name=kuryr-controller

fail() {
    printf 'regenerate_controller_pod.sh: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" > /dev/null; }

# A name without a registry means Docker's, which podman would not suppose. localhost is a registry, too.
full_name() {
    local registry=${1%%/*}
    if [[ $1 != */* ]]; then
        echo "docker.io/library/$1"
    elif [[ $registry == localhost || $registry == *[.:]* ]]; then
        echo "$1"
    else
        echo "docker.io/$1"
    fi
}

# The runtime as a node tells it: containerd://1.7.2, cri-o://1.29, docker://24.
runtime() {
    local told
    told=$(kubectl get nodes -o 'jsonpath={.items[0].status.nodeInfo.containerRuntimeVersion}')
    case ${told%%:*} in
        docker) echo docker ;;
        cri-o) echo podman ;;
        containerd) if has nerdctl; then echo nerdctl; else echo ctr; fi ;;
        *) fail "the nodes run '$told'; set KURYR_RUNTIME to docker, podman, nerdctl or ctr" ;;
    esac
}

# Builds with what is there, and leaves the image where the runtime finds it.
build() {
    local runtime=$1 image=$2
    case $runtime in
        # CRI-O and podman read the same images.
        docker | podman) "$runtime" build -t "$image" -f controller.Dockerfile . ;;
        nerdctl) nerdctl --namespace k8s.io build -t "$image" -f controller.Dockerfile . ;;
        ctr)
            archive=$(mktemp)
            trap 'rm -f "$archive"' EXIT
            if has docker; then
                docker build -t "$image" -f controller.Dockerfile .
                docker save -o "$archive" "$image"
            elif has podman; then
                podman build -t "$image" -f controller.Dockerfile .
                podman save -o "$archive" "$image"
            else
                fail "building needs docker, podman or nerdctl on this machine"
            fi
            ctr --namespace k8s.io images import "$archive"
            ;;
        *) fail "KURYR_RUNTIME is '$runtime'; docker, podman, nerdctl and ctr are known" ;;
    esac
}

has kubectl || fail "kubectl is needed"
namespace=${KURYR_NAMESPACE:-$(kubectl get deployments -A -l "$selector" -o 'jsonpath={.items[0].metadata.namespace}' 2> /dev/null || true)}
namespace=${namespace:-$(kubectl get pods -A -l "$selector" -o 'jsonpath={.items[0].metadata.namespace}' 2> /dev/null || true)}
[[ -n $namespace ]] || fail "no namespace has a controller (label $selector); set KURYR_NAMESPACE, or install Kuryr first"
image=${KURYR_IMAGE:-$(kubectl -n "$namespace" get pods -l "$selector" -o 'jsonpath={.items[0].spec.containers[0].image}' 2> /dev/null || true)}
image=$(full_name "${image:-kuryr/controller}")
runtime=${KURYR_RUNTIME:-$(runtime)}

build "$runtime" "$image"
kubectl -n "$namespace" delete pod -l "$selector"
kubectl -n "$namespace" rollout status deployment -l "$selector" --timeout=180s
