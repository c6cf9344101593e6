"""Certificates and kubeconfigs: one toy authority for everything in the lab, made once and kept."""

import hashlib
import json
from pathlib import Path

from kuryrlab import paths, shell

AUTHORITY = paths.PKI / "ca.crt"
API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost")
API_ADDRESSES = ("127.0.0.1", paths.MANAGEMENT_ROOT, paths.EXTERNAL_ROOT, paths.KUBERNETES_SERVICE_IP)
# To be raised when certificates are made in another way.
_FORMAT = 1
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def ensure(running: bool) -> str:
    """Make them unless they are what they should be; never under a lab that runs, whose parts trust the old ones."""
    mark = paths.PKI / "key"
    key = _key()
    if mark.exists() and (running or mark.read_text() == key):
        return "kept"
    paths.PKI.mkdir(parents=True, exist_ok=True)
    _authority()
    _service_account_keys()
    names = ",".join([f"DNS:{name}" for name in API_NAMES] + [f"IP:{address}" for address in API_ADDRESSES])
    issue("apiserver", "/CN=kube-apiserver", names)
    for user, subject in _users().items():
        issue(user, subject)
    for user in ("admin", "kube-controller-manager", "kube-scheduler", "kuryr-controller"):
        kubeconfig(paths.PKI / f"{user}.conf", paths.API_LOCAL, user)
    for number, name in enumerate(paths.NODE_NAMES, start=1):
        _issue_kubelet(name, f"{paths.MANAGEMENT}.{10 + number}", paths.API_FROM_NODES)
    mark.write_text(key)
    return "made"


def issue_vm(name: str, address: str) -> None:
    """What a VM's kubelet and Kuryr's daemon in it show: anew whenever it is turned on, since Neutron may give it another address."""
    user, subject = _daemon_user(name)
    issue(user, subject)
    _issue_kubelet(name, address, paths.API_FROM_PODS)


def issue(name: str, subject: str, alternative_names: str = "") -> None:
    """A key and a certificate signed by the lab's authority, good for both ends of a connection."""
    key, request, extensions = (paths.PKI / f"{name}.{kind}" for kind in ("key", "csr", "ext"))
    lines = ["basicConstraints=CA:FALSE", "keyUsage=digitalSignature", "extendedKeyUsage=serverAuth,clientAuth"]
    if alternative_names:
        lines.append(f"subjectAltName={alternative_names}")
    extensions.write_text("\n".join(lines) + "\n")
    shell.run(["openssl", "req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", subject])
    signing = ["-CA", AUTHORITY, "-CAkey", paths.PKI / "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", extensions]
    shell.run(["openssl", "x509", "-req", "-in", request, *signing, "-out", paths.PKI / f"{name}.crt"])
    request.unlink()
    extensions.unlink()


def kubeconfig(path: Path, server: str, user: str) -> None:
    """A kubeconfig whose files stand in the lab's folder."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": str(AUTHORITY)}}],
        "users": [
            {
                "name": user,
                "user": {"client-certificate": str(paths.PKI / f"{user}.crt"), "client-key": str(paths.PKI / f"{user}.key")},
            }
        ],
    }
    path.write_text(json.dumps(config, indent=1))
    path.chmod(0o600)


def _issue_kubelet(name: str, address: str, server: str) -> None:
    issue(f"kubelet-{name}", f"/O=system:nodes/CN=system:node:{name}", f"DNS:{name},IP:{address},IP:127.0.0.1")
    for user in (f"kubelet-{name}", _daemon_user(name)[0]):
        kubeconfig(paths.PKI / f"{user}.conf", server, user)


def _authority() -> None:
    words = ["openssl", "req", "-x509", *_NEW_KEY, "-days", "3650", "-subj", "/CN=kuryr-lab"]
    shell.run([*words, "-keyout", paths.PKI / "ca.key", "-out", AUTHORITY])


def _service_account_keys() -> None:
    shell.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", paths.PKI / "sa.key"])
    shell.run(["openssl", "ec", "-in", paths.PKI / "sa.key", "-pubout", "-out", paths.PKI / "sa.pub"])


def _key() -> str:
    wanted = [_FORMAT, str(paths.PKI), API_NAMES, API_ADDRESSES, paths.NODE_NAMES, paths.MANAGEMENT, _users()]
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()


def _users() -> dict[str, str]:
    users = {
        "admin": "/O=system:masters/CN=admin",
        "kube-controller-manager": "/CN=system:kube-controller-manager",
        "kube-scheduler": "/CN=system:kube-scheduler",
        "kuryr-controller": "/CN=kuryr-controller",
    }
    return users | dict(map(_daemon_user, paths.NODE_NAMES))


def _daemon_user(node: str) -> tuple[str, str]:
    return f"kuryr-daemon-{node}", f"/O=kuryr-daemons/CN=kuryr-daemon:{node}"
