"""What a person or a test has to know to use the lab: lab.json, clouds.yaml, the tools' folder, the shell's exports."""

import json
import shlex

from kuryrlab import cluster, kubernetes, openstack, paths, pieces, seed, vm_place, workers
from kuryrlab.node import nodes
from kuryrlab.places import ROOT

_TOOLS = {
    paths.OVN_BIN: ("ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovsdb-client", "ovn-nbctl", "ovn-sbctl", "ovn-trace"),
    paths.VENV / "bin": ("openstack",),
    paths.KUBERNETES_BIN: ("kubectl",),
}
_USERS = {"admin": ("admin", "admin"), "kuryr": ("kuryr", "k8s")}


def write_clouds() -> None:
    """Write clouds.yaml; JSON is YAML too."""
    openstack.CLOUDS_FILE.parent.mkdir(parents=True, exist_ok=True)
    openstack.CLOUDS_FILE.write_text(json.dumps({"clouds": {cloud: _cloud(*user) for cloud, user in _USERS.items()}}, indent=1))


def link_tools() -> str:
    """One folder with what a person types, and nothing that hides the person's own programs."""
    paths.BIN.mkdir(parents=True, exist_ok=True)
    for folder, names in _TOOLS.items():
        for name in names:
            link = paths.BIN / name
            link.unlink(missing_ok=True)
            link.symlink_to(folder / name)
    return ""


def write() -> str:
    """Write lab.json."""
    layout = seed.networks()
    facts = {
        "lab": str(paths.LAB),
        "repository": str(paths.REPOSITORY),
        "logs": str(paths.LOG),
        "kubernetes": _kubernetes(),
        "openstack": _openstack(layout),
        "ovn": {
            "ovs_unix": f"unix:{paths.RUN}/ovs/db.sock",
            "ovs_tcp": "tcp:127.0.0.1:6640",
            "northbound": "tcp:127.0.0.1:6641",
            "southbound": "tcp:127.0.0.1:6642",
            "gateway_chassis": paths.CHASSIS,
            "gateway_host": ROOT.run(["hostname"]).strip(),
        },
        "nodes": [_node(node, layout) for node in nodes()],
        "binaries": {name: str(folder / name) for folder, names in _TOOLS.items() for name in names},
        "python": str(paths.VENV / "bin" / "python"),
        "images": pieces.VERSIONS["images"],
    }
    return _write(facts)


def tell_of_vms() -> str:
    """Write into lab.json which VMs there are, and leave the rest of it as `lab up` wrote it."""
    if not paths.FACTS.exists():
        return "none: the lab is down"
    facts = json.loads(paths.FACTS.read_text())
    facts.pop("nested", None)
    return _write(facts)


def _write(facts: dict) -> str:
    layout = workers.known()
    if layout:
        told = {"network": layout["network"], "subnet": layout["subnet"]}
        facts = {**facts, "nested": {**told, "vms": [_vm(vm, layout) for vm in cluster.vms() if vm.name in layout["vms"]]}}
    staged = paths.FACTS.with_suffix(".new")
    staged.write_text(json.dumps(facts, indent=1))
    staged.rename(paths.FACTS)
    return str(paths.FACTS)


def exports() -> dict[str, str]:
    """The variables by which kubectl, openstack and the OVS tools find the lab."""
    return {
        "KURYR_LAB": str(paths.LAB),
        "KUBECONFIG": str(paths.PKI / "admin.conf"),
        **openstack.CLOUDS,
        "OS_CLOUD": "kuryr",
        "OVS_RUNDIR": str(paths.RUN / "ovs"),
        "OVN_NB_DB": "tcp:127.0.0.1:6641",
        "OVN_SB_DB": "tcp:127.0.0.1:6642",
    }


def export_lines() -> str:
    """The variables as a shell reads them."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports().items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(paths.BIN))}:"$PATH"'])


def _kubernetes() -> dict:
    return {
        "api_local": paths.API_LOCAL,
        "api_from_nodes": paths.API_FROM_NODES,
        "api_from_pods": paths.API_FROM_PODS,
        "ca": str(paths.PKI / "ca.crt"),
        "kubeconfig": str(paths.PKI / "admin.conf"),
        "controller_kubeconfig": str(paths.PKI / "kuryr-controller.conf"),
        "controller": {"cert": str(paths.PKI / "kuryr-controller.crt"), "key": str(paths.PKI / "kuryr-controller.key")},
        "etcd": kubernetes.ETCD_URL,
        "audit_log": str(kubernetes.AUDIT),
        "service_cidr": paths.SERVICE_CIDR,
    }


def _openstack(layout: dict) -> dict:
    return {
        "keystone": paths.KEYSTONE_URL,
        "neutron": paths.NEUTRON_URL,
        "octavia": paths.OCTAVIA_URL,
        "clouds_file": str(openstack.CLOUDS_FILE),
        "clouds": list(_USERS),
        "region": "RegionOne",
        "domain": "Default",
        "user": "kuryr",
        "password": "secret",
        "project": "k8s",
        "admin": {"user": "admin", "password": "secret", "project": "admin"},
        **{name: value for name, value in layout.items() if name != "node_ports"},
    }


def _node(node, layout: dict) -> dict:
    init = node.place.init()
    port = layout["node_ports"][node.name]
    return {
        "name": node.name,
        "management_ip": node.management,
        "tunnel_ip": node.tunnel,
        "kubelet_port": port["id"],
        "kubelet_ips": port["addresses"],
        "init_pid": init.pid if init else None,
        "file_system": str(node.root),
        "logs": str(node.place.log_dir),
        **_daemon(node.name),
    }


def _vm(vm, layout: dict) -> dict:
    return {
        "name": vm.name,
        **layout["vms"][vm.name],
        "exec": [str(paths.SOURCE / "lab"), "exec", vm.name],
        "shared": str(vm.shared),
        "shared_inside": str(vm_place.SHARED),
        "logs": str(vm.place.log_dir),
        "console": str(vm.console),
        **_daemon(vm.name),
    }


def _daemon(node: str) -> dict:
    user = f"kuryr-daemon-{node}"
    return {
        "daemon_kubeconfig": str(paths.PKI / f"{user}.conf"),
        "daemon": {"cert": str(paths.PKI / f"{user}.crt"), "key": str(paths.PKI / f"{user}.key")},
    }


def _cloud(user: str, project: str) -> dict:
    names = {
        "username": user,
        "password": "secret",
        "project_name": project,
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    return {"region_name": "RegionOne", "auth": {"auth_url": paths.KEYSTONE_URL, **names}}
