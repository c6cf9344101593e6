"""What every node of the cluster has, in namespaces or in a VM: containerd, the kubelet, their files, the lab's images."""

import hashlib
import json
import shutil
from pathlib import Path

from kuryrlab import paths, shell
from kuryrlab.daemons import Daemon
from kuryrlab.places import Place

# What a node must not share with the machine or another node. /run is a file system of its own.
OWN_FOLDERS = (
    *("/etc/cni", "/etc/containerd", "/etc/kubernetes", "/etc/kuryr", "/etc/openvswitch", "/opt/cni"),
    *("/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/openvswitch", "/var/log/containers", "/var/log/pods"),
)
CNI_PLUGINS = ("loopback", "ptp", "host-local", "bridge", "portmap")
FLOOR = "/etc/cni/net.d/10-ptp.conflist"


def write_files(root: Path, name: str, address: str) -> None:
    """Write what a node's programs read, below `root`."""
    for folder in OWN_FOLDERS:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    etc, kubelet = root / "etc", root / "var/lib/kubelet"
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{address} {name}\n")
    (etc / "machine-id").write_text(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() + "\n")
    (etc / "kubernetes/manifests").mkdir(exist_ok=True)
    shutil.copy(paths.SOURCE / "conf/containerd.toml", etc / "containerd/config.toml")
    shutil.copy(paths.SOURCE / "conf/kubelet.yaml", kubelet / "config.yaml")
    shutil.copy(paths.PKI / f"kubelet-{name}.conf", etc / "kubernetes/kubelet.conf")
    (kubelet / "pki").mkdir(exist_ok=True)
    for kind in ("crt", "key"):
        shutil.copy(paths.PKI / f"kubelet-{name}.{kind}", kubelet / f"pki/kubelet.{kind}")
    shutil.copy(paths.PKI / "ca.crt", kubelet / "pki/ca.crt")
    plugins = root / "opt/cni/bin"
    plugins.mkdir(exist_ok=True)
    (etc / "cni/net.d").mkdir(exist_ok=True)
    for plugin in CNI_PLUGINS:
        shutil.copy(f"/usr/lib/cni/{plugin}", plugins / plugin)


def floor(subnet: str) -> str:
    """The configuration of the `ptp` network, which does nothing but connect a pod to its node."""
    plugin = {"type": "ptp", "ipam": {"type": "host-local", "subnet": subnet}}
    return json.dumps({"cniVersion": "1.0.0", "name": "floor", "plugins": [plugin]})


def containerd(place: Place) -> Daemon:
    """A node's container runtime."""
    return Daemon("containerd", ("/usr/bin/containerd",), ready=lambda: _succeeds(place, "ctr", "version"), place=place)


def kubelet(place: Place, address: str, **more: str) -> Daemon:
    """A node's kubelet."""
    flags = {
        "config": "/var/lib/kubelet/config.yaml",
        "kubeconfig": "/etc/kubernetes/kubelet.conf",
        "hostname-override": place.name,
        "node-ip": address,
        "v": "2",
        **more,
    }
    words = (str(paths.KUBERNETES_BIN / "kubelet"), *(f"--{flag}={value}" for flag, value in flags.items()))

    def ready() -> bool:
        return _succeeds(place, "curl", "-sf", "-o", "/dev/null", "http://127.0.0.1:10248/healthz")

    return Daemon("kubelet", words, ready=ready, place=place)


def has_image(place: Place, archive: Path) -> bool:
    """Whether the runtime has one of the lab's own images."""
    return f"lab/{archive.stem}:" in place.run(["ctr", "-n", "k8s.io", "images", "ls", "-q"])


def import_image(place: Place, archive: Path) -> str:
    """Put an image into the runtime, from a file that is there inside the node: there is no registry."""
    return place.run(["ctr", "-n", "k8s.io", "images", "import", archive]).strip()


def _succeeds(place: Place, *words: str) -> bool:
    try:
        place.run(words)
    except shell.CommandError:
        return False
    return True
