"""What is mounted, by the kernel's own list: comparing devices does not see a folder that is bound over itself."""

from pathlib import Path


def points() -> list[str]:
    """Every mount point, once for each mount on it."""
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
