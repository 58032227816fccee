"""What many machines would do, from what one core was measured to do.

Every part of the way has a rate, and the slowest part is the rate of the whole. docs/scale.md tells it;
benchmarks/scale.py measures the parts and tries the law.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

CORES = 2  # a machine
NETWORK = 1.25e9  # bytes a second of a machine's 10 Gbit/s
REQUESTS = 5_500  # a second and prefix, which Amazon promises of S3: "Best practices design patterns", S3 user guide
UNIT = 1_000  # pictures

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Way:
    """A kind of bulk prediction.

    Attributes:
        name: of the pictures, where they lie, and the recipe.
        requested: whether every picture is a request of its own to an object store.
    """

    name: str
    requested: bool

    @property
    def part(self) -> str:
        """What was measured: all that a core does for a picture."""
        return f"all of it: {self.name}"


WAYS = (
    Way("32x32 PNG in Parquet, fast-73", requested=False),
    Way("32x32 PNG in Parquet, fast-90", requested=False),
    Way("32x32 PNG, a file each, fast-90", requested=True),
    Way("500x375 JPEG, a file each, fast-90", requested=True),
)


def median(row: dict[str, Any]) -> float:
    return statistics.median(row["rates"])


def rates(way: Way, rows: Rows, machines: int) -> dict[str, float]:
    """Return how many pictures a second each part of the way lets through."""
    row = rows[way.part]
    found = {
        "cores": machines * CORES * median(row),
        "network cards": machines * NETWORK / row["bytes"],
        "the driver": median(rows["the driver alone: units that take no time"]) * UNIT,
    }
    return found | ({"requests to one prefix": float(REQUESTS)} if way.requested else {})


def slowest(way: Way, rows: Rows, machines: int) -> tuple[str, float]:
    """Return which part saturates first, and the pictures a second that it leaves."""
    found = rates(way, rows, machines)
    part = min(found, key=lambda name: found[name])
    return part, found[part]


def training_rate(row: dict[str, Any], machines: int, bandwidth: float) -> float:
    """Return the images a second of a training whose every step sums gradients over the machines.

    A ring sends each machine 2 (m - 1) / m times the gradients (Patarasuk and Yuan 2009); nothing overlaps.
    """
    computing = row["batch"] / (median(row) * CORES * machines)
    sending = 2 * (machines - 1) / machines * row["gradients"] / bandwidth
    return float(row["batch"] / (computing + sending))


def told_duration(seconds: float) -> str:
    """Return "40 s", "12 min", "5.5 h" or "23 d"."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} s"


def parts_table(rows: Rows) -> str:
    lines = ["| part | a second, median (range) | bytes a picture | n |", "|---|---|---|---|"]
    for part, row in rows.items():
        if "law" not in row:
            low, high = min(row["rates"]), max(row["rates"])
            size = f"{row['bytes']:,.0f}" if "bytes" in row else ""
            lines.append(f"| {part} | {median(row):,.0f} ({low:,.0f} to {high:,.0f}) | {size} | {row['n']} |")
    return "\n".join(lines)


def bulk_table(rows: Rows) -> str:
    """Return how long 10^7 to 10^9 pictures take on 2 to 1,000 machines, and what saturates first."""
    lines = [
        "| pictures | machines | a second | slowest part | 10^7 | 10^8 | 10^9 |",
        "|---|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        for machines in (2, 16, 1000):
            part, rate = slowest(way, rows, machines)
            times = " | ".join(told_duration(count / rate) for count in (1e7, 1e8, 1e9))
            lines.append(f"| {way.name} | {machines:,} | {rate:,.0f} | {part} | {times} |")
    return "\n".join(lines)


def training_table(rows: Rows) -> str:
    """Return what training on 1 to 1,000 machines would do, at 1 and at 10 Gbit/s."""
    lines = [
        "| recipe | machines | images/s at 1 Gbit/s | at 10 Gbit/s | times one machine, at 10 Gbit/s |",
        "|---|---|---|---|---|",
    ]
    for part, row in rows.items():
        if not part.startswith("training "):
            continue
        alone = training_rate(row, 1, NETWORK)
        for machines in (1, 2, 16, 1000):
            slow, fast = (training_rate(row, machines, bandwidth) for bandwidth in (NETWORK / 10, NETWORK))
            name = f"`{part.removeprefix('training ')}`"
            lines.append(f"| {name} | {machines:,} | {slow:,.0f} | {fast:,.0f} | {fast / alone:.2f} |")
    return "\n".join(lines)


def law_table(rows: Rows) -> str:
    """Return what workers that wait got done, beside what the law says."""
    lines = ["| workers | units a second, median (range) | by the law | ratio | n |", "|---|---|---|---|---|"]
    for part, row in rows.items():
        if "law" in row:
            low, high = min(row["rates"]), max(row["rates"])
            told = f"{median(row):.1f} ({low:.1f} to {high:.1f})"
            ratio = f"{median(row) / row['law']:.2f}"
            lines.append(f"| {part} | {told} | {row['law']:.1f} | {ratio} | {row['n']} |")
    return "\n".join(lines)
