"""The cluster's DNS: CoreDNS behind the Service `kube-dns`, on demand, since some tests count the ports of all pods.

Neither waits for what Kuryr does: its pods and its Service come to life once Kuryr runs.
"""

from kuryrlab import kubernetes, paths

MANIFEST = paths.SOURCE / "content" / "dns.yaml"


def up() -> None:
    """Tell Kubernetes of it."""
    kubernetes.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(MANIFEST))


def down() -> None:
    """Delete it, pods included, so that whoever counts ports afterwards finds none of it."""
    kubernetes.kubectl("delete", "--ignore-not-found", "--cascade=foreground", "--timeout=60s", "-f", str(MANIFEST))
