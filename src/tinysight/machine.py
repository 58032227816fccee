"""What this machine is: processor and its features, usable cores, memory. Without importing torch.

The functions read Linux' /proc and control groups (version 2), or ask sysctl on macOS; the text that these
would give can be handed in instead. Where neither answers, they say less.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

# What decides how fast a small network trains, under Linux' names; `bf16` is Arm's.
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "bf16")
# Arm's is not among them: nobody has measured yet whether torch is faster with it.
_NATIVE_BF16 = frozenset({"avx512_bf16", "amx_bf16"})
_CONTROL_GROUP = Path("/sys/fs/cgroup")


class Description(TypedDict):
    """What `describe` returns; memory is in bytes."""

    system: str
    processor: str
    features: list[str]
    cores: int
    memory: int
    python: str


def describe() -> Description:
    """Return the facts about this machine that explain how fast something ran on it."""
    return {
        "system": platform.platform(),
        "processor": processor_name(),
        "features": sorted(processor_features()),
        "cores": usable_cores(),
        "memory": usable_memory(),
        "python": platform.python_version(),
    }


def processor_name(facts: str | None = None) -> str:
    """Return the processor's name, or at least its architecture.

    Args:
        facts: the content of /proc/cpuinfo, or what `sysctl` prints; this machine's unless given.
    """
    for key, value in _entries(facts):
        if key in ("model name", "machdep.cpu.brand_string"):
            return value
    return platform.machine()


@functools.cache
def processor_features(facts: str | None = None) -> frozenset[str]:
    """Return which of FEATURES the processor has.

    Args:
        facts: as for `processor_name`.
    """
    found: set[str] = set()
    for key, value in _entries(facts):
        if key in ("flags", "Features"):  # x86 and Arm under Linux
            found.update(value.split())
        elif key.startswith("hw.optional.") and value == "1":  # macOS: hw.optional.avx2_0, .arm.FEAT_BF16
            found.add(key.rpartition(".")[2].lower().removeprefix("feat_").removesuffix("_0"))
    return frozenset(FEATURES) & found


def native_bf16(facts: str | None = None) -> bool:
    """Return whether the processor multiplies bfloat16 numbers itself; elsewhere torch emulates it, slowly.

    Args:
        facts: as for `processor_name`.
    """
    return bool(processor_features(facts) & _NATIVE_BF16)


def usable_cores(quota: str | None = None) -> int:
    """Return how many cores this process may keep busy: those it is bound to, or a container's share.

    Args:
        quota: the content of the control group's cpu.max, such as "150000 100000" for one and a half cores.
    """
    bound = _cores_bound_to()
    share, _, period = (_control_group("cpu.max") if quota is None else quota).partition(" ")
    if share.isdigit():
        return max(1, min(bound, int(share) // int(period)))
    return bound


def limit_threads() -> None:
    """Have torch, where it is imported after this, start no more threads than a container has a share of the cores.

    Of itself it looks at the cores alone, and threads that wait for each other's turn cost many times what they
    do (docs/experiments.md). OMP_NUM_THREADS, where it is set, is left as it is.
    """
    if usable_cores() < _cores_bound_to():
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def usable_memory(limit: str | None = None) -> int:
    """Return the bytes of memory this process may use: the machine's, or a container's share.

    Args:
        limit: the content of the control group's memory.max, in bytes or "max".
    """
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _control_group("memory.max") if limit is None else limit
    return min(installed, int(limit)) if limit.strip().isdigit() else installed


def _cores_bound_to() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _entries(facts: str | None) -> list[tuple[str, str]]:
    lines = (_facts() if facts is None else facts).splitlines()
    return [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]


@functools.cache
def _facts() -> str:
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "machdep.cpu.brand_string", "hw.optional"]
            # It fails if one of the names is unknown, and still prints the others.
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
        return Path("/proc/cpuinfo").read_text()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _control_group(name: str) -> str:
    try:
        return (_CONTROL_GROUP / name).read_text()
    except OSError:
        return ""
