"""Environment of a run: machine, package versions and dataset (environment.json)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import torch

from tinysight._util import hardware, optional_deps
from tinysight.data.dataset import NO_IMAGES, Dataset, Split
from tinysight.runs.records import DatasetRecord, Environment
from tinysight.training.device import Device
from tinysight.training.precision import Precision

PACKAGES = ("tinysight", "torch", "numpy", "pillow")


def describe_environment(
    dataset: Dataset,
    data_source: str,
    data_dir: Path | None,
    seed: int,
    precision: Precision,
    device: Device = "cpu",
    workers: int = 1,
) -> Environment:
    """Return a record of this machine, the package versions and the dataset.

    `argument` (the dataset's name or absolute path) and `data_dir` allow `evaluate` to load the dataset again.
    """
    facts = hardware.hardware_info()
    return Environment(
        versions={"python": facts["python"], **{name: optional_deps.version(name) or "unknown" for name in PACKAGES}},
        processor=facts["processor"],
        cpu_features=tuple(facts["features"]),
        system=facts["system"],
        threads=torch.get_num_threads(),
        workers=workers,
        device=device if device == "cpu" else f"cuda: {torch.cuda.get_device_name()}",
        precision=precision,
        seed=seed,
        git_commit=_commit(),
        dataset=DatasetRecord(
            name=dataset.name,
            argument=data_source,
            data_dir=str(data_dir.expanduser().absolute()) if data_dir else None,
            fingerprint=dataset.fingerprint,
            source=dataset.source,
            provenance=dataset.provenance,
            is_official=dataset.is_official,
            notes=dataset.notes,
            label_type=dataset.label_type,
        ),
    )


def without_images(class_names: tuple[str, ...]) -> Dataset:
    """Return a dataset without images, for a run whose training images are unknown."""
    empty = Split(np.empty((0, 3, 1, 1), dtype=np.uint8), np.empty(0, dtype=np.int64))
    return Dataset("not stated", empty, empty, class_names, "Not stated", argument=NO_IMAGES)


def diff(before: Environment, now: Environment) -> list[str]:
    """List the changes that break bitwise reproducibility."""

    def relevant(environment: Environment) -> dict[str, object]:
        versions = {name: environment.versions.get(name) for name in ("tinysight", "torch", "numpy")}
        settings = {name: getattr(environment, name) for name in ("processor", "threads", "workers", "device")}
        return {**versions, **settings, "commit": environment.git_commit}

    old, new = relevant(before), relevant(now)
    return [f"{name}: {old[name]}, now {new[name]}" for name in old if old[name] != new[name]]


def _commit() -> str | None:
    """Return the git commit of tinysight's source checkout, or None for an installed package.

    A package may be installed inside another project's checkout, so the path within the checkout is checked as well.
    """
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD", "--show-prefix"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, prefix = output.stdout.strip().partition("\n")
    return commit if prefix == "src/tinysight/training/" else None
