"""Diagnostics of the installation and the hardware, for `tinysight doctor`."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysight._util import hardware, optional_deps
from tinysight._util.files import cache_folder
from tinysight.data.sources import cifar10

Severity = Literal["ok", "note", "error"]

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
class CheckResult:
    """Result of one check.

    Attributes:
        section: versions, extras, processor, threads, GPU, memory, cache or data.
        name: name of the check.
        value: result, as text.
        severity: "ok", "note" (could be better) or "error" (training will not work).
        advice: suggested fix; empty if `severity` is "ok".
    """

    section: str
    name: str
    value: str
    severity: Severity = "ok"
    advice: str = ""


def run_checks(data_dir: Path | None = None) -> list[CheckResult]:
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


def _versions() -> Iterator[CheckResult]:
    yield CheckResult("versions", "python", platform.python_version())
    for name in ("tinysight", *optional_deps.requirements().get("", [])):
        version = optional_deps.version(name)
        if version:
            yield CheckResult("versions", name, version)
        else:
            yield CheckResult("versions", name, "not installed", "error", f"pip install {name}")


def _extras() -> Iterator[CheckResult]:
    for extra, names in optional_deps.requirements().items():
        if not extra:
            continue
        missing = [name for name in names if not optional_deps.version(name)]
        if missing:
            advice = f"optional: pip install 'tinysight[{extra}]'"
            yield CheckResult("extras", extra, f"missing: {', '.join(missing)}", "note", advice)
        else:
            yield CheckResult("extras", extra, ", ".join(f"{name} {optional_deps.version(name)}" for name in names))


def _processor() -> Iterator[CheckResult]:
    yield CheckResult("processor", "name", hardware.processor_name())
    features = hardware.processor_features()
    names = [name for feature, name in _FEATURE_NAMES.items() if feature in features]
    yield CheckResult("processor", "features", ", ".join(names) or f"none of {', '.join(_FEATURE_NAMES.values())}")
    bf16 = "native" if hardware.native_bf16() else "not native; training uses float32"
    yield CheckResult("processor", "bfloat16", bf16)


def _memory() -> CheckResult:
    usable = hardware.usable_memory()
    if usable < _NEEDED_MEMORY:
        advice = "training needs up to 1.5 GB; use a machine or a container with more memory"
        return CheckResult("memory", "usable", _gigabytes(usable), "error", advice)
    return CheckResult("memory", "usable", _gigabytes(usable))


def _torch() -> Iterator[CheckResult]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield CheckResult(
            "versions", "torch", f"does not load: {error}", "error", "pip install --force-reinstall torch"
        )
        return
    yield CheckResult("processor", "torch uses", torch.backends.cpu.get_cpu_capability())
    yield from _threads(torch.get_num_threads(), hardware.usable_cores())
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none (not required)"
    yield CheckResult("GPU", "CUDA", gpu)


def _threads(threads: int, cores: int) -> Iterator[CheckResult]:
    yield CheckResult("threads", "usable cores", str(cores))
    yield CheckResult("threads", "OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "not set"))
    if threads == cores:
        yield CheckResult("threads", "torch", str(threads))
    else:
        yield CheckResult("threads", "torch", str(threads), "note", f"set OMP_NUM_THREADS={cores} for full speed")


def _cache(folder: Path) -> Iterator[CheckResult]:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(existing, os.W_OK):
        yield CheckResult("cache", "folder", f"{folder}, {_gigabytes(size)}")
    else:
        advice = "set TINYSIGHT_CACHE_DIR to a writable folder"
        yield CheckResult("cache", "folder", f"{folder}, not writable", "error", advice)
    free = shutil.disk_usage(existing).free
    if free < _NEEDED_DISK:
        advice = "free some space, or set TINYSIGHT_CACHE_DIR to a folder on another disk"
        yield CheckResult("cache", "free disk", _gigabytes(free), "error", advice)
    else:
        yield CheckResult("cache", "free disk", _gigabytes(free))


def _cifar10(data_dir: Path | None) -> CheckResult:
    location = cifar10.find(data_dir)
    if location:
        return CheckResult("data", "CIFAR-10", f"{location.path} ({location.layout})")
    advice = "run tinysight data download, or set data_dir; `shapes` needs no download"
    return CheckResult("data", "CIFAR-10", f"not in {data_dir}" if data_dir else "not found", "note", advice)


def _gigabytes(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB"
