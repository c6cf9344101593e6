"""The command line: which figures to take, and where the programs are."""

import argparse
import sys
from pathlib import Path

from kuryrbench import crowd_figures, document, figures, plugging, pods, policy_figures, pool_figures, service_figures
from kuryrbench.kept import Kept
from kuryrbench.lab import BenchError, say
from kuryrbench.rows import Section

# In the order of the table.
FIGURES = ("cluster", "pools", "crowd", "plugging", "services", "policies", "plugin", "cache", "index", "sizes")


def main(argv: list[str]) -> int:
    """Measure; the exit code says whether it could be measured, not whether everything was met."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure Kuryr in the running lab.")
    parser.add_argument("release", type=Path, help="where the programs are")
    parser.add_argument("plugin", type=Path, help="where kuryr-cni is")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"only these, and do not write the document: {', '.join(FIGURES)}")
    parser.add_argument("--steady", type=int, default=300, help="seconds to look at the steady state")
    parser.add_argument("--services", type=int, default=200, help="Services to make at once")
    parser.add_argument("--joiners", type=int, default=100, help="pods that join a peer of policies at once")
    parser.add_argument("--resume", action="store_true", help="do not take again what an earlier run with the same programs took")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.figures) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    try:
        _run(arguments)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    release, plugin = arguments.release, arguments.plugin
    measure = {
        "cluster": lambda: figures.cluster([release, plugin], arguments.steady),
        "pools": lambda: pool_figures.measure([release, plugin]),
        "crowd": lambda: crowd_figures.measure([release, plugin]),
        "plugging": plugging.measure,
        "services": lambda: service_figures.measure([release, plugin], arguments.services, arguments.steady),
        "policies": lambda: policy_figures.measure([release, plugin], arguments.joiners),
        "plugin": lambda: figures.plugin(plugin),
        "cache": figures.cache,
        "index": policy_figures.index,
        "sizes": lambda: figures.sizes(release, plugin),
    }
    kept = Kept([release, plugin], {"steady": arguments.steady, "services": arguments.services, "joiners": arguments.joiners})

    def section(name: str) -> Section:
        return (kept.read(name) if arguments.resume else None) or kept.write(name, measure[name]())

    sections = [section(name) for name in FIGURES if name in (arguments.figures or FIGURES)]
    sys.stdout.write(f"\n{document.table(sections)}\n\n{document.notes(sections)}\n")
    if not arguments.figures:
        document.write(sections, pods.SINGLES, pods.ROUNDS)
        say(f"wrote {document.PATH}")
