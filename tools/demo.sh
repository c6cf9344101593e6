#!/usr/bin/env bash
# Kuryr in the running lab: two pods on two nodes, their Neutron ports, and traffic between them. `make demo` calls it.
#
#   tools/demo.sh FOLDER...     where the programs are
set -euo pipefail

cd "$(dirname "$0")/.."
folders=()
for folder in "$@"; do folders+=(--bin "$folder"); done
eval "$(lab/lab env)"

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}

pod() {
    kubectl run "$1" --image=docker.io/lab/agnhost:1 --image-pull-policy=IfNotPresent --overrides="{\"spec\":{\"nodeName\":\"$2\"}}" \
        --command -- /agnhost netexec --http-port=8080
}

address() {
    kubectl get pod "$1" -o jsonpath="{.status.podIPs[$2].ip}"
}

say "Kuryr starts: a controller, and a daemon on each node"
lab/lab kuryr up "${folders[@]}"
kubectl wait --for=condition=Ready node --all --timeout=60s

say "Two pods, one on each node"
kubectl delete pod here there --ignore-not-found --wait
pod here node1
pod there node2
kubectl wait --for=condition=Ready pod/here pod/there --timeout=60s
kubectl get pods -o wide

say "The Neutron ports that belong to them"
uid() { kubectl get pod "$1" -o jsonpath='{.metadata.uid}'; }
for name in here there; do
    openstack port list --device-id "$(uid "$name")" -c ID -c "MAC Address" -c "Fixed IP Addresses" -c Status --long 2>/dev/null ||
        openstack port list --device-id "$(uid "$name")"
done
kubectl get kuryrports

say "A ping from here to there, IPv4 and IPv6"
sandbox=$(lab/lab exec node1 sh -c 'ls /run/netns | grep ^cni- | tail -n 1')
lab/lab exec node1 ip netns exec "$sandbox" ping -c 3 "$(address there 0)"
lab/lab exec node1 ip netns exec "$sandbox" ping -c 3 "$(address there 1)"

say "An HTTP request from here to there"
kubectl exec here -- /agnhost connect "$(address there 0):8080" --timeout=5s
kubectl get --raw "/api/v1/namespaces/default/pods/there:8080/proxy/hostname" 2>/dev/null ||
    lab/lab exec node1 ip netns exec "$sandbox" curl -s "http://$(address there 0):8080/hostname"
echo

cat <<HINTS

What to look at next:
  eval "\$(lab/lab env)"                       # kubectl, openstack, ovs-vsctl and ovn-nbctl for this lab
  kubectl get kuryrport here -o yaml          # what the controller recorded and the node plugged
  openstack port list --device-owner compute:kuryr
  lab/lab exec node1 ovs-vsctl show           # a node from inside
  curl -s localhost:8082/ready                # health of the controller; metrics on 9654
  lab/lab status                              # what runs, and where its logs are
  lab/lab kuryr down; make lab-down           # the end
HINTS
