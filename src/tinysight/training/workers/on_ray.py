"""The engine for clusters: Ray Train, on the cluster that RAY_ADDRESS names, or on one of this machine alone."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.base_trainer import TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer

from tinysight.cluster import connected, resource
from tinysight.errors import InputError, TinysightError, WorkerLostError
from tinysight.machine import usable_cores
from tinysight.progress import Progress
from tinysight.runs.records import Summary
from tinysight.training.interruption import Interruption, listening
from tinysight.training.order import Order
from tinysight.training.workers.desk import Desk, Reported
from tinysight.training.workers.group import backend
from tinysight.training.workers.work import Outcome, best_of, work

RESTARTS = 3


def run(order: Order, count: int, progress: Progress) -> Summary:
    """Train on `count` workers of a cluster, and have Ray start all of them anew when one is lost.

    The run directory, and a folder of images, must be where every machine of the cluster sees them under the same
    name; tinysight must be installed on each. Ctrl-C here is a request to them.

    Raises:
        InputError: the cluster has fewer processors or graphics cards than workers.
        WorkerLostError: they were lost again and again.
    """
    order = _absolute(order)
    with _cluster(count), listening() as interruption:
        desk: Any = ray.remote(num_cpus=0)(Desk).remote()  # every method of which is now asked by `.remote()`
        fitting = _fitting(_trainer(order, count, desk), order.path)
        while not fitting.done():
            if interruption.asked:
                desk.ask.remote()
            for name, arguments, figures in ray.get(desk.calls.remote()):
                getattr(progress, name)(*arguments, **figures)
        errors = ray.get(desk.errors.remote())
        return best_of(errors or [fitting.result()])


@contextmanager
def _cluster(count: int) -> Iterator[None]:
    """Be connected to a cluster with room for so many workers inside the block."""
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    with connected(count):
        if (cores := resource("CPU")) < count:
            raise InputError(f"{count} workers need as many processors, and the cluster has {cores}; take fewer.")
        yield


def _cards(order: Order, count: int) -> bool:
    """Return whether every worker gets a graphics card."""
    cards = resource("GPU")
    if order.device == "cuda" and cards < count:
        raise InputError(f"--device cuda: {count} workers need a graphics card each, and the cluster has {cards}.")
    return order.device != "cpu" and cards >= count


def _trainer(order: Order, count: int, desk: Any) -> TorchTrainer:
    cards = _cards(order, count)
    # Ray gives a worker as many threads as processors. How those of many machines divide, only one each says for sure.
    cores = 1 if "RAY_ADDRESS" in os.environ else max(1, usable_cores() // count)
    return TorchTrainer(
        _work,
        train_loop_config={"order": order, "desk": desk},
        scaling_config=ScalingConfig(num_workers=count, use_gpu=cards, resources_per_worker={"CPU": cores}),
        torch_config=TorchConfig(backend=backend(cards)),
        run_config=RunConfig(
            name=_folder(order.path).name,
            storage_path=str(order.path.parent),
            failure_config=FailureConfig(max_failures=RESTARTS),
        ),
    )


def _fitting(trainer: TorchTrainer, path: Path) -> Future[Outcome]:
    """Have Ray train in a thread, where it leaves Ctrl-C to the main one."""
    fitting: Future[Outcome] = Future()

    def fit() -> None:
        try:
            result: Any = trainer.fit()
            fitting.set_result(result.return_value)
        except TrainingFailedError as error:
            fitting.set_result(WorkerLostError(str(error).splitlines()[0]))
        except BaseException as error:
            fitting.set_exception(error)
        finally:
            shutil.rmtree(_folder(path), ignore_errors=True)

    threading.Thread(target=fit, daemon=True).start()
    return fitting


def _work(config: dict[str, Any]) -> Any:
    """Be one of the workers."""
    desk, interruption = config["desk"], Interruption()

    def wait() -> None:
        with suppress(RayError):  # the training is over
            interruption.asked = ray.get(desk.asked.remote())

    threading.Thread(target=wait, daemon=True).start()
    outcome = work(config["order"], Reported(desk), interruption)
    if isinstance(outcome, TinysightError) and not isinstance(outcome, WorkerLostError):
        ray.get(desk.fail.remote(outcome))  # Ray returns what the first worker returned, which may only have lost this
    return outcome


def _absolute(order: Order) -> Order:
    """Return the order with names that mean the same in any folder."""
    recipe, listed = order.recipe, order.recipe.data.exclude
    return replace(
        order,
        path=order.path.absolute(),
        data_dir=order.data_dir and order.data_dir.expanduser().absolute(),
        recipe=recipe.excluding(Path(listed).absolute()) if listed else recipe,
    )


def _folder(path: Path) -> Path:
    """Return where Ray keeps what it needs of its own while it trains; it must be where every machine sees it."""
    return path.with_name(f".{path.name}.ray")
