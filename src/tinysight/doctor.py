"""Diagnostics of the installation and the hardware, for `tinysight doctor`."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysight import machine, packages
from tinysight.data import cifar10
from tinysight.data.cache import cache_folder

Verdict = Literal["ok", "note", "error"]

_NEEDED_MEMORY = 2e9  # bytes: up to 1.5 GB for training, the rest for the system
_NEEDED_DISK = 1e9  # bytes: CIFAR-10's archive, its images, and a few runs
_FEATURE_NAMES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_tile": "AMX tiles",
    "amx_bf16": "AMX BF16",
    "bf16": "Arm BF16",
}


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        section: versions, extras, processor, threads, GPU, memory, cache or data.
        name: name of the check.
        value: result, as text.
        verdict: "ok", "note" (could be better) or "error" (training will not work).
        advice: suggested fix; empty if `verdict` is "ok".
    """

    section: str
    name: str
    value: str
    verdict: Verdict = "ok"
    advice: str = ""


def examine(data_dir: Path | None = None) -> list[Finding]:
    """Run all checks, and return their results in display order.

    Args:
        data_dir: folder of CIFAR-10, as in `cifar10.find`.
    """
    return [
        *_versions(),
        *_extras(),
        *_processor(),
        *_torch(),
        _memory(),
        *_cache(cache_folder()),
        _cifar10(data_dir),
    ]


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "python", platform.python_version())
    for name in ("tinysight", *packages.requirements().get("", [])):
        version = packages.version(name)
        if version:
            yield Finding("versions", name, version)
        else:
            yield Finding("versions", name, "not installed", "error", f"pip install {name}")


def _extras() -> Iterator[Finding]:
    for extra, names in packages.requirements().items():
        if not extra:
            continue
        missing = [name for name in names if not packages.version(name)]
        if missing:
            advice = f"optional: pip install -e '.[{extra}]'"
            yield Finding("extras", extra, f"missing: {', '.join(missing)}", "note", advice)
        else:
            yield Finding("extras", extra, ", ".join(f"{name} {packages.version(name)}" for name in names))


def _processor() -> Iterator[Finding]:
    yield Finding("processor", "name", machine.processor_name())
    features = machine.processor_features()
    names = [name for feature, name in _FEATURE_NAMES.items() if feature in features]
    yield Finding("processor", "features", ", ".join(names) or f"none of {', '.join(_FEATURE_NAMES.values())}")
    bf16 = "native" if machine.native_bf16() else "not native; training uses float32"
    yield Finding("processor", "bfloat16", bf16)


def _memory() -> Finding:
    usable = machine.usable_memory()
    if usable < _NEEDED_MEMORY:
        advice = "training needs up to 1.5 GB; use a machine or a container with more memory"
        return Finding("memory", "usable", _gigabytes(usable), "error", advice)
    return Finding("memory", "usable", _gigabytes(usable))


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("versions", "torch", f"does not load: {error}", "error", "pip install --force-reinstall torch")
        return
    yield Finding("processor", "torch uses", torch.backends.cpu.get_cpu_capability())
    yield from _threads(torch.get_num_threads(), machine.usable_cores())
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none (not required)"
    yield Finding("GPU", "CUDA", gpu)


def _threads(threads: int, cores: int) -> Iterator[Finding]:
    yield Finding("threads", "usable cores", str(cores))
    yield Finding("threads", "OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "not set"))
    if threads == cores:
        yield Finding("threads", "torch", str(threads))
    else:
        yield Finding("threads", "torch", str(threads), "note", f"set OMP_NUM_THREADS={cores} for full speed")


def _cache(folder: Path) -> Iterator[Finding]:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(existing, os.W_OK):
        yield Finding("cache", "folder", f"{folder}, {_gigabytes(size)}")
    else:
        advice = "set TINYSIGHT_CACHE_DIR to a writable folder"
        yield Finding("cache", "folder", f"{folder}, not writable", "error", advice)
    free = shutil.disk_usage(existing).free
    if free < _NEEDED_DISK:
        advice = "free some space, or set TINYSIGHT_CACHE_DIR to a folder on another disk"
        yield Finding("cache", "free disk", _gigabytes(free), "error", advice)
    else:
        yield Finding("cache", "free disk", _gigabytes(free))


def _cifar10(data_dir: Path | None) -> Finding:
    location = cifar10.find(data_dir)
    if location:
        return Finding("data", "CIFAR-10", f"{location.path} ({location.layout})")
    advice = "run tinysight data download, or set --data-dir; `shapes` needs no download"
    return Finding("data", "CIFAR-10", f"not in {data_dir}" if data_dir else "not found", "note", advice)


def _gigabytes(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB"
