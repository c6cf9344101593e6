"""Rows of the table, and how values are written in them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from kuryrbench.counters import percentile


@dataclass(frozen=True)
class Row:
    """One figure; `met` is None where nothing is asked."""

    name: str
    ours: str
    floor: str = ""
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Section:
    """Rows that one command measures, and what a reader should know besides."""

    command: str
    rows: list[Row]
    notes: list[str]


def each(counts: Iterable[int]) -> str:
    """One value a round."""
    return " / ".join(map(str, counts))


def listed(counts: Counter[str]) -> str:
    """What was counted, by name."""
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "none"


def percentiles(values: list[float]) -> str:
    """The median, and what hardly any exceeds."""
    return f"{percentile(values, 0.5):.2f} s, {percentile(values, 0.99):.2f} s"


def milliseconds(values: list[float] | list[int]) -> str:
    """The same of milliseconds."""
    return f"{percentile(values, 0.5):.0f} ms, {percentile(values, 0.99):.0f} ms"


def seconds(values: list[float]) -> str:
    """Every one."""
    return ", ".join(f"{value:.2f} s" for value in values)
