"""Launcher for Ray Train, on the cluster at RAY_ADDRESS or on this machine."""

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

from tinysight._util.errors import InputError, TinysightError, WorkerLostError
from tinysight._util.hardware import usable_cores
from tinysight._util.progress import Progress
from tinysight._util.ray_utils import cluster_resource, ray_session
from tinysight.runs.records import Summary
from tinysight.training.distributed.process_group import choose_backend
from tinysight.training.distributed.progress_actor import ProgressActor, RemoteProgress
from tinysight.training.distributed.worker import WorkerResult, first_success, run_worker
from tinysight.training.request import TrainRequest
from tinysight.training.signals import StopRequest, catch_signals

MAX_RESTARTS = 3


def launch(request: TrainRequest, count: int, progress: Progress) -> Summary:
    """Train on `count` workers of a cluster; if one fails, all restart, up to `MAX_RESTARTS` times.

    The run directory and a folder dataset must be on storage that all machines mount at the same path, and tinysight
    must be installed on each. Ctrl-C requests a stop from the workers.

    Raises:
        InputError: the cluster has fewer CPUs or GPUs than workers.
        WorkerLostError: workers failed more than `MAX_RESTARTS` times.
    """
    request = _absolute(request)
    with _cluster(count), catch_signals() as stop_request:
        actor: Any = ray.remote(num_cpus=0)(ProgressActor).remote()  # an actor handle: methods have `.remote`
        result = _fit_in_thread(_trainer(request, count, actor), request.path)
        while not result.done():
            if stop_request.requested:
                actor.request_stop.remote()
            for name, arguments, metrics in ray.get(actor.next_calls.remote()):
                getattr(progress, name)(*arguments, **metrics)
        errors = ray.get(actor.errors.remote())
        return first_success(errors or [result.result()])


@contextmanager
def _cluster(count: int) -> Iterator[None]:
    """Connect to a cluster that has a CPU for each of `count` workers."""
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    if "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # this machine is not taken away
    with ray_session(count):
        if (cores := cluster_resource("CPU")) < count:
            raise InputError(f"{count} workers: the cluster has only {cores} CPUs. Use fewer workers.")
        yield


def _use_gpu(request: TrainRequest, count: int) -> bool:
    """Return whether every worker gets a GPU."""
    gpus = cluster_resource("GPU")
    if request.device == "cuda" and gpus < count:
        raise InputError(f"device cuda: {count} workers need a GPU each, and the cluster has {gpus}. Use device cpu.")
    return request.device != "cpu" and gpus >= count


def _trainer(request: TrainRequest, count: int, actor: Any) -> TorchTrainer:
    use_gpu = _use_gpu(request, count)
    # Ray gives a worker one thread per CPU. On a cluster only one CPU per worker is certain to fit the machines.
    cores = 1 if "RAY_ADDRESS" in os.environ else max(1, usable_cores() // count)
    return TorchTrainer(
        _run_process,
        train_loop_config={"request": request, "actor": actor},
        scaling_config=ScalingConfig(num_workers=count, use_gpu=use_gpu, resources_per_worker={"CPU": cores}),
        torch_config=TorchConfig(backend=choose_backend(use_gpu)),
        run_config=RunConfig(
            name=_ray_dir(request.path).name,
            storage_path=str(request.path.parent),
            failure_config=FailureConfig(max_failures=MAX_RESTARTS),
        ),
    )


def _fit_in_thread(trainer: TorchTrainer, path: Path) -> Future[WorkerResult]:
    """Run `trainer.fit` in a thread, where Ray installs no handler for Ctrl-C."""
    future: Future[WorkerResult] = Future()

    def fit() -> None:
        try:
            result: Any = trainer.fit()
            future.set_result(result.return_value)
        except TrainingFailedError as error:
            future.set_result(WorkerLostError(str(error).splitlines()[0]))
        except BaseException as error:
            future.set_exception(error)
        finally:
            shutil.rmtree(_ray_dir(path), ignore_errors=True)

    threading.Thread(target=fit, daemon=True).start()
    return future


def _run_process(config: dict[str, Any]) -> Any:
    """Run one worker process."""
    actor, stop_request = config["actor"], StopRequest()

    def wait() -> None:
        with suppress(RayError):  # the actor is gone once training ends
            stop_request.requested = ray.get(actor.wait_for_stop.remote())

    threading.Thread(target=wait, daemon=True).start()
    result = run_worker(config["request"], RemoteProgress(actor), stop_request)
    if isinstance(result, TinysightError) and not isinstance(result, WorkerLostError):
        ray.get(actor.add_error.remote(result))  # Ray returns only the first worker's result
    return result


def _absolute(request: TrainRequest) -> TrainRequest:
    """Return the request with absolute paths."""
    recipe, exclude_file = request.recipe, request.recipe.data.exclude_file
    return replace(
        request,
        path=request.path.absolute(),
        data_dir=request.data_dir and request.data_dir.expanduser().absolute(),
        recipe=recipe.with_excluded(Path(exclude_file).absolute()) if exclude_file else recipe,
    )


def _ray_dir(path: Path) -> Path:
    """Return the directory of Ray's own files during training; all machines must mount it."""
    return path.with_name(f".{path.name}.ray")
