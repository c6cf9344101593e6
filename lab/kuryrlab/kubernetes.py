"""The Kubernetes control plane: etcd, API server, controller manager, scheduler, all in the root namespace."""

import urllib.error
import urllib.request
from http import HTTPStatus

from kuryrlab import paths, shell
from kuryrlab.daemons import Daemon, before_others

KUBECTL = paths.KUBERNETES_BIN / "kubectl"
ETCD_URL = "http://127.0.0.1:2379"
RBAC = paths.REPOSITORY / "deploy" / "lab" / "rbac.yaml"
CRDS = paths.REPOSITORY / "kubernetes_crds"
AUDIT = paths.LOG / "kubernetes-audit.log"


def daemons() -> list[Daemon]:
    """The control plane, in the order of starting."""
    return [_etcd(), _apiserver(), _controller_manager(), _scheduler()]


def kubectl(*words: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl as the cluster's administrator."""
    return shell.run([KUBECTL, "--kubeconfig", paths.PKI / "admin.conf", *words], stdin=stdin, check=check)


def apply_permissions() -> str:
    """Give Kuryr's users what they may do."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(RBAC))
    return ""


def runs() -> bool:
    """Whether the API server answers."""
    return shell.succeeds([KUBECTL, "--kubeconfig", paths.PKI / "admin.conf", "get", "--raw", "/readyz"], 5)


def answers(url: str, timeout: float = 2) -> bool:
    """Whether a plain HTTP server gives an answer at all that is not a failure of its own."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=timeout):
            return True
    except urllib.error.HTTPError as refused:
        return refused.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False


def _etcd() -> Daemon:
    data = paths.DATA / "etcd"

    def prepare() -> None:
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)

    urls = ["--listen-client-urls", ETCD_URL, "--advertise-client-urls", ETCD_URL, "--listen-peer-urls", "http://127.0.0.1:2380"]
    words = [
        str(paths.ETCD_BIN / "etcd"),
        "--name",
        "lab",
        "--data-dir",
        str(data),
        *urls,
        "--unsafe-no-fsync",
        "--log-level",
        "warn",
    ]
    return Daemon("etcd", before_others(words), ready=lambda: answers(f"{ETCD_URL}/health"), prepare=prepare)


def _apiserver() -> Daemon:
    pki = paths.PKI
    flags = {
        "etcd-servers": ETCD_URL,
        "secure-port": str(paths.API_PORT),
        "bind-address": "0.0.0.0",
        # The address that pods reach through the router, so that the `kubernetes` Service is like any other.
        "advertise-address": paths.EXTERNAL_ROOT,
        "tls-cert-file": f"{pki}/apiserver.crt",
        "tls-private-key-file": f"{pki}/apiserver.key",
        "client-ca-file": f"{pki}/ca.crt",
        "service-account-key-file": f"{pki}/sa.pub",
        "service-account-signing-key-file": f"{pki}/sa.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-cluster-ip-range": paths.SERVICE_CIDR,
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",
        "enable-admission-plugins": "NodeRestriction",
        "audit-policy-file": str(paths.SOURCE / "conf" / "audit.yaml"),
        "audit-log-path": str(AUDIT),
        "kubelet-client-certificate": f"{pki}/admin.crt",
        "kubelet-client-key": f"{pki}/admin.key",
        "kubelet-certificate-authority": f"{pki}/ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
    }
    return _component("kube-apiserver", flags, runs)


def _controller_manager() -> Daemon:
    pki = paths.PKI
    flags = {
        "kubeconfig": f"{pki}/kube-controller-manager.conf",
        "leader-elect": "false",
        "service-account-private-key-file": f"{pki}/sa.key",
        "root-ca-file": f"{pki}/ca.crt",
        "use-service-account-credentials": "true",
        "allocate-node-cidrs": "false",
        "cluster-signing-cert-file": f"{pki}/ca.crt",
        "cluster-signing-key-file": f"{pki}/ca.key",
    }
    return _component("kube-controller-manager", flags)


def _scheduler() -> Daemon:
    return _component("kube-scheduler", {"kubeconfig": f"{paths.PKI}/kube-scheduler.conf", "leader-elect": "false"})


def _component(name: str, flags: dict[str, str], ready=lambda: True) -> Daemon:
    words = [str(paths.KUBERNETES_BIN / name), *(f"--{flag}={value}" for flag, value in flags.items())]
    return Daemon(name, before_others(words), ready=ready)
