"""Every node of the cluster by its name, whatever it is made of."""

from pathlib import Path

from kuryrlab import paths, runtime
from kuryrlab.node import Node
from kuryrlab.vm import Vm

Member = Node | Vm


def find(name: str) -> Member:
    """The node of that name."""
    return Vm(name) if name in paths.VM_NAMES else Node(name)


def load_image(member: Member, archive: Path) -> str:
    """Put one of the lab's own images into a node's runtime, unless it is there."""
    if runtime.has_image(member.place, archive):
        return "kept"
    member.import_image(archive)
    return ""


def vms() -> list[Vm]:
    """The VMs of this life, on or off."""
    return [Vm(name) for name in paths.VM_NAMES if (paths.VMS / name).exists()]


def running_vms() -> list[Vm]:
    """Those that are on."""
    return [vm for vm in vms() if vm.place.init()]
