#!/usr/bin/env bash
# Kuryr in the running lab, installed as on any cluster: two pods on two nodes, their Neutron ports, traffic between them, and a
# Service by its name and from outside.
# `make demo` calls it.
#
#   tools/demo.sh FOLDER               where `make images` left the images and kuryrctl
#   NESTED=1 tools/demo.sh FOLDER      with a node more, which is a virtual machine, and a pod on its trunk
set -euo pipefail

cd "$(dirname "$0")/.."
images=$1
definitions=$(mktemp -d)
trap 'rm -rf "$definitions"' EXIT
eval "$(lab/lab env)"

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}

run() {
    printf '$ %s\n' "$*"
    "$@"
}

fact() {
    jq -r "$1" "$KURYR_LAB/lab.json"
}

pod() {
    kubectl run "$1" --image="$(fact .images.agnhost)" --image-pull-policy=IfNotPresent --overrides="{\"spec\":{\"nodeName\":\"$2\"}}" \
        --command -- /agnhost netexec --http-port=8080
}

address() {
    kubectl get pod "$1" -o jsonpath="{.status.podIPs[$2].ip}"
}

nodes=(node1 node2)
lab/lab kuryr down
if [[ -n ${NESTED:-} ]]; then
    say "A node that is a virtual machine, whose own port is the parent of a trunk"
    lab/lab nested up
    nodes+=(vm1)
    kubectl label node node1 node2 pod_vif=neutron-vif --overwrite
fi

say "The images go to the nodes, which have no registry"
lab/lab images import "$images/controller.tar" "$images/cni.tar"

say "The definitions, for this OpenStack and this Kubernetes"
export KURYR_K8S_API_ROOT KURYR_K8S_AUTH_URL KURYR_K8S_USERNAME KURYR_K8S_PASSWORD KURYR_K8S_KURYR_PROJECT_ID KURYR_K8S_PROJECT_ID
export KURYR_K8S_POD_SUBNET_ID KURYR_K8S_POD_SG KURYR_K8S_SERVICE_SUBNET_ID KURYR_K8S_EXTERNAL_SVC_NET_ID
KURYR_K8S_API_ROOT=$(fact .kubernetes.api_from_nodes)
KURYR_K8S_AUTH_URL=$(fact .openstack.keystone)
KURYR_K8S_USERNAME=$(fact .openstack.user)
KURYR_K8S_PASSWORD=$(fact .openstack.password)
KURYR_K8S_KURYR_PROJECT_ID=$(fact .openstack.project_id)
KURYR_K8S_PROJECT_ID=$KURYR_K8S_KURYR_PROJECT_ID
KURYR_K8S_POD_SUBNET_ID=$(fact '[.openstack.pod_subnets[].id] | join(",")')
KURYR_K8S_POD_SG=$(fact .openstack.security_group.id)
KURYR_K8S_SERVICE_SUBNET_ID=$(fact .openstack.service_subnet.id)
KURYR_K8S_EXTERNAL_SVC_NET_ID=$(fact .openstack.external_network.id)
if [[ -n ${NESTED:-} ]]; then
    export KURYR_K8S_WORKER_NODES_SUBNETS
    KURYR_K8S_WORKER_NODES_SUBNETS=$(fact .nested.subnet.id)
fi
KURYRCTL=$images/kuryrctl run tools/generate_k8s_resource_definitions.sh "$definitions"

say "Kuryr is installed: a controller, and a daemon on each node"
for file in config_map certificates_secret controller_service_account cni_service_account controller_deployment cni_ds; do
    run kubectl apply -f "$definitions/$file.yml" -n kube-system
done
kubectl rollout status -n kube-system deployment/kuryr-controller daemonset/kuryr-cni-ds --timeout=120s
kubectl wait --for=condition=Ready "${nodes[@]/#/node/}" --timeout=120s
run kubectl get pods -n kube-system -o wide

say "Two pods, one on each node"
kubectl delete pod here there --ignore-not-found --wait
pod here node1
pod there node2
kubectl wait --for=condition=Ready pod/here pod/there --timeout=60s
run kubectl get pods -o wide

say "The Neutron ports that belong to them"
for name in here there; do
    run openstack port list --device-id "$(kubectl get pod "$name" -o jsonpath='{.metadata.uid}')"
done
run kubectl get kuryrports

say "A ping from here to there, IPv4 and IPv6"
sandbox=$(lab/lab exec node1 sh -c 'ls -t /run/netns | grep ^cni- | head -n 1')
run lab/lab exec node1 ip netns exec "$sandbox" ping -c 3 "$(address there 0)"
run lab/lab exec node1 ip netns exec "$sandbox" ping -c 3 "$(address there 1)"

say "An HTTP request from here to there"
url=http://$(address there 0):8080/hostname
run lab/lab exec node1 ip netns exec "$sandbox" curl -sS --max-time 5 "$url"
echo

if [[ -n ${NESTED:-} ]]; then
    say "The same pod on the virtual machine: its port is a subport of the machine's trunk, by a VLAN of its own"
    kubectl delete pod within --ignore-not-found --wait
    pod within vm1
    kubectl wait --for=condition=Ready pod/within --timeout=120s
    run kubectl get pods -o wide
    run openstack network trunk list
    run openstack network subport list --trunk "$(openstack network trunk list -f value -c ID | head -n 1)"
    run lab/lab exec node1 ip netns exec "$sandbox" ping -c 3 "$(address within 0)"
    run lab/lab exec node1 ip netns exec "$sandbox" curl -sS --max-time 5 "http://$(address within 0):8080/hostname"
    echo
fi

say "A Service, with CoreDNS beside it: two pods behind one name, one cluster IP and one floating IP"
kubectl delete service,deployment web --ignore-not-found --wait
run lab/lab dns up
run kubectl create deployment web --replicas=2 --image="$(fact .images.agnhost)" -- /agnhost netexec --http-port=8080
run kubectl expose deployment web --type=LoadBalancer --port=80 --target-port=8080
kubectl wait --for=jsonpath='{.status.loadBalancer.ingress[0].ip}' service/web --timeout=60s
kubectl rollout status deployment/web --timeout=60s
kubectl rollout status -n kube-system deployment/coredns --timeout=120s
run kubectl get service web
run openstack loadbalancer list -c name -c vip_address -c provisioning_status -c provider

say "The pod named here asks it by its name: both pods behind it answer"
run lab/lab exec node1 curl -sS --max-time 20 \
    "http://$(address here 0):8080/dial?host=web.default.svc.cluster.local&port=80&protocol=http&request=hostname&tries=8"
echo

say "And from outside, by its floating IP"
outside=$(kubectl get service web -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
for _ in 1 2 3 4; do
    run curl -sS --noproxy '*' --retry 10 --retry-connrefused --max-time 5 "http://$outside/hostname"
    echo
done

cat <<HINTS

What to look at next:
  eval "\$(lab/lab env)"                       # kubectl, openstack, ovs-vsctl and ovn-nbctl for this lab
  kubectl get kuryrport here -o yaml          # what the controller recorded and the node plugged
  openstack port list --device-owner compute:kuryr
  kubectl get kuryrloadbalancer web -o yaml   # what Octavia has for the Service
  lab/lab exec node1 ovs-vsctl show           # a node from inside
  kubectl -n kube-system logs deployment/kuryr-controller
  lab/lab status                              # what runs, and where its logs are
  lab/lab kuryr down; make lab-down           # the end
HINTS
