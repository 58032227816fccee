"""Projected throughput of many machines, from measurements on one core.

Each stage of the pipeline has a rate, and the slowest stage is the bottleneck.
docs/explanation/scale.md explains the model; benchmarks/scale.py measures the stages and tests the model.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

CORES = 2  # per machine
NETWORK = 1.25e9  # bytes per second and machine: 10 Gbit/s
REQUESTS = 5_500  # per second and prefix of S3: "Best practices design patterns", S3 user guide
UNIT = 1_000  # images per shard

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Way:
    """A bulk prediction workload.

    Attributes:
        name: format of the images, their container, and the recipe.
        requested: whether each image is a separate request to the object store.
    """

    name: str
    requested: bool

    @property
    def part(self) -> str:
        """Name of the measurement: all work of a core per image."""
        return f"complete pipeline: {self.name}"


WAYS = (
    Way("32x32 PNG in Parquet, fast-73", requested=False),
    Way("32x32 PNG in Parquet, fast-90", requested=False),
    Way("32x32 PNG, one file per image, fast-90", requested=True),
    Way("500x375 JPEG, one file per image, fast-90", requested=True),
)


def median(row: dict[str, Any]) -> float:
    return float(statistics.median(row["rates"]))


def rates(way: Way, rows: Rows, machines: int) -> dict[str, float]:
    """Return the throughput of each stage, in images per second."""
    row = rows[way.part]
    throughput = {
        "cores": machines * CORES * median(row),
        "network cards": machines * NETWORK / row["bytes"],
        "the driver": median(rows["driver only: shards that take no time"]) * UNIT,
    }
    return throughput | ({"requests to one prefix": float(REQUESTS)} if way.requested else {})


def slowest(way: Way, rows: Rows, machines: int) -> tuple[str, float]:
    """Return the bottleneck and its throughput, in images per second."""
    throughput = rates(way, rows, machines)
    part = min(throughput, key=lambda name: throughput[name])
    return part, throughput[part]


def training_rate(row: dict[str, Any], machines: int, bandwidth: float) -> float:
    """Return the images per second of data-parallel training that sums gradients over the machines.

    A ring all-reduce sends 2 (m - 1) / m times the gradients per machine (Patarasuk and Yuan 2009). Computation and
    communication do not overlap.
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
    """Return the measured throughput of each stage."""
    lines = ["| stage | per second, median (range) | bytes per image | n |", "|---|---|---|---|"]
    for part, row in rows.items():
        if "law" not in row:
            low, high = min(row["rates"]), max(row["rates"])
            size = f"{row['bytes']:,.0f}" if "bytes" in row else ""
            lines.append(f"| {part} | {median(row):,.0f} ({low:,.0f} to {high:,.0f}) | {size} | {row['n']} |")
    return "\n".join(lines)


def bulk_table(rows: Rows) -> str:
    """Return the duration of 10^7 to 10^9 images on 2 to 1,000 machines, and the bottleneck."""
    lines = [
        "| images | machines | images/s | bottleneck | 10^7 | 10^8 | 10^9 |",
        "|---|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        for machines in (2, 16, 1000):
            part, rate = slowest(way, rows, machines)
            times = " | ".join(told_duration(count / rate) for count in (1e7, 1e8, 1e9))
            lines.append(f"| {way.name} | {machines:,} | {rate:,.0f} | {part} | {times} |")
    return "\n".join(lines)


def training_table(rows: Rows) -> str:
    """Return the projected training throughput on 1 to 1,000 machines, at 1 and at 10 Gbit/s."""
    lines = [
        "| recipe | machines | images/s at 1 Gbit/s | images/s at 10 Gbit/s | speedup at 10 Gbit/s |",
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
    """Return the measured throughput of simulated workers, beside the model."""
    lines = ["| workers | shards per second, median (range) | model | ratio | n |", "|---|---|---|---|---|"]
    for part, row in rows.items():
        if "law" in row:
            low, high = min(row["rates"]), max(row["rates"])
            measured = f"{median(row):.1f} ({low:.1f} to {high:.1f})"
            ratio = f"{median(row) / row['law']:.2f}"
            lines.append(f"| {part} | {measured} | {row['law']:.1f} | {ratio} | {row['n']} |")
    return "\n".join(lines)
