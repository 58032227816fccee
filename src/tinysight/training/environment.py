"""What a run was made on, with and from: environment.json."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch

from tinysight import machine, packages
from tinysight.data.dataset import Dataset
from tinysight.runs.records import DatasetRecord, Environment
from tinysight.training.device import Device
from tinysight.training.precision import Precision

PACKAGES = ("tinysight", "torch", "numpy", "pillow")


def describe(
    dataset: Dataset,
    argument: str,
    data_dir: Path | None,
    seed: int,
    precision: Precision,
    device: Device = "cpu",
    workers: int = 1,
) -> Environment:
    """Return the facts about this machine, these versions and these images.

    `argument` is what `--data` said, made absolute, and `data_dir` what `--data-dir` said: so that `evaluate`
    finds the images again.
    """
    here = machine.describe()
    return Environment(
        versions={"python": here["python"], **{name: packages.version(name) or "unknown" for name in PACKAGES}},
        processor=here["processor"],
        features=tuple(here["features"]),
        system=here["system"],
        threads=torch.get_num_threads(),
        workers=workers,
        device=device if device == "cpu" else f"cuda: {torch.cuda.get_device_name()}",
        precision=precision,
        seed=seed,
        git_commit=_commit(),
        dataset=DatasetRecord(
            name=dataset.name,
            argument=argument,
            data_dir=str(data_dir.expanduser().absolute()) if data_dir else None,
            fingerprint=dataset.fingerprint,
            source=dataset.source,
            published=dataset.published,
            remarks=dataset.remarks,
        ),
    )


def changes(before: Environment, now: Environment) -> list[str]:
    """Say what of that which decides about the last bit of a weight is another now than it was `before`."""

    def told(environment: Environment) -> dict[str, object]:
        versions = {name: environment.versions.get(name) for name in ("tinysight", "torch", "numpy")}
        here = {name: getattr(environment, name) for name in ("processor", "threads", "workers", "device")}
        return {**versions, **here, "commit": environment.git_commit}

    old, new = told(before), told(now)
    return [f"{name}: {old[name]}, now {new[name]}" for name in old if old[name] != new[name]]


def _commit() -> str | None:
    """Return the commit of the source checkout this runs from, or None for an installed package.

    A package may be installed within somebody else's checkout: only where it lies as in ours does a commit count.
    """
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD", "--show-prefix"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, prefix = answer.stdout.strip().partition("\n")
    return commit if prefix == "src/tinysight/training/" else None
