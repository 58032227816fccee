"""Run an audit. Each section is saved when it is done, so an audit resumes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from tinysight._util import optional_deps
from tinysight._util.errors import InputError
from tinysight._util.progress import SILENT, Progress
from tinysight._util.timing import Deadline
from tinysight.auditing.context import AuditContext
from tinysight.auditing.forecast import SectionForecast, duration
from tinysight.auditing.registry import SECTIONS
from tinysight.auditing.section import AuditSection, ResultT
from tinysight.auditing.shadow_models import ShadowModel, ShadowModels, train_shadow_model
from tinysight.data.dataset import Dataset
from tinysight.recipes.schema import Recipe
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import Audit
from tinysight.runs.run import Run
from tinysight.training import precision

N_SHADOW_MODELS = 4  # without a time limit; even, so that half of the shadow models train on each image


def audit(
    run: Run,
    minutes: float | None = None,
    groups: Path | None = None,
    data_dir: Path | None = None,
    progress: Progress = SILENT,
    dataset: Dataset | None = None,
    clock: Callable[[], float] | None = None,
) -> Audit:
    """Audit a run and write audit.json; sections that it already holds are not computed again.

    Before each section and before the shadow models, a notice says about how many minutes they take. Sections that need
    one class per image are left out if images may have several labels.

    Args:
        run: a finished or interrupted run.
        minutes: time limit. Shadow models are trained in the time that the other sections leave.
        groups: CSV file with a column `image` (names of test images) and one or more columns of groups.
        data_dir: directory of CIFAR-10, if it is not in a default location.
        progress: receives the progress.
        dataset: the dataset of the run; by default, it is loaded again from its source.
        clock: returns seconds, for the forecasts; by default `time.perf_counter`.

    Raises:
        InputError: cleanlab is not installed, or `groups` are given for images that may have several labels.
        RunError: a file of the run is missing or damaged.
        DataError: the images differ from those that the run was trained on, none of them are test images, or `groups`
            names other images.
    """
    task = run.task()
    if task == "multi-class":
        optional_deps.require("cleanlab", extra="audit")  # fail before any work is done
    elif groups is not None:
        raise InputError(f"{groups}: groups need one class per image. Leave them out, and evaluate each group alone.")
    deadline = Deadline.after(minutes)
    context = AuditContext.from_run(run, dataset, data_dir, progress)
    context.groups_file = groups
    results = RunArtifacts(run).audit() or Audit(weights_sha256=run.weights_checksum())
    forecast = SectionForecast(context, clock or time.perf_counter)
    new_shadow_models = False
    sections = [section for section in SECTIONS if section.supports(task)]
    for section in sorted(sections, key=lambda section: section.cost):
        if section.requires == "shadow_models" and context.shadow_models is None:
            new_shadow_models = _add_shadow_models(context, deadline, progress)
        missing = section.name not in results.sections
        is_due = {
            "dataset": missing,
            "groups_file": groups is not None,  # the file may differ from that of the earlier audit
            "shadow_models": context.shadow_models is not None and (missing or new_shadow_models),
        }
        if is_due[section.requires]:
            progress.note(f"audit: {section.heading}, {duration(forecast.seconds(section))}")
            with forecast.measured(section):
                result = section.compute(context, progress)
            results = _save(run, results, section, result)
    return results


def _save(run: Run, results: Audit, section: AuditSection[ResultT], result: ResultT) -> Audit:
    updated = results.with_result(section, result)
    RunArtifacts(run).write_audit(updated)
    section.write_files(result, run)
    return updated


def _add_shadow_models(context: AuditContext, deadline: Deadline, progress: Progress) -> bool:
    """Add shadow models to those of earlier audits until the deadline, and return whether any were trained."""
    run, pool = context.run, context.pool
    artifacts = RunArtifacts(run)
    earlier = artifacts.shadow_models() if context.is_complete else ()  # those of all images of the run
    models = [ShadowModel(in_mask, logits) for in_mask, logits in earlier]
    n_earlier = len(models)
    recipe, seed = _shadow_recipe(context), run.environment().seed
    dtype = precision.resolve_precision(
        "auto", recipe, progress=progress, network_factory=run.network, num_classes=len(run.class_names())
    )
    seconds = 0.5 * len(pool) / len(context.train_split.train_indices) * run.summary().train_seconds  # of the last one
    n_planned = N_SHADOW_MODELS - n_earlier
    if deadline.has_limit:
        n_planned = 2 * max(0, math.floor(deadline.remaining() / (2 * seconds))) if seconds else 0
    if n_planned > 0:
        progress.note(f"audit: {n_planned} shadow models, {duration(n_planned * seconds)}")
    while len(models) % 2 or (deadline.allows(2 * seconds) if deadline.has_limit else len(models) < N_SHADOW_MODELS):
        start = time.perf_counter()
        progress.start(f"shadow model {len(models) + 1}", recipe.training.epochs * len(pool) // 2, "images")
        shadow = train_shadow_model(recipe, context.dataset, pool, len(models), seed, dtype, progress, run.network)
        progress.finish()
        if context.is_complete:
            artifacts.write_shadow_model(len(models), shadow.in_mask, shadow.logits)
        models.append(shadow)
        seconds = time.perf_counter() - start
    context.shadow_models = ShadowModels.stack(models, pool.labels) if models else None
    return len(models) > n_earlier


def _shadow_recipe(context: AuditContext) -> Recipe:
    """Return the recipe of the run; a time budget is replaced by the number of epochs that the run trained.

    Patience is raised to that number, since with a time budget it counts short epochs otherwise.
    """
    recipe, epochs = context.run.recipe(), max(1, len(context.run.history()))
    if recipe.training.minutes is None:
        return recipe
    length = {"minutes": None, "max_epochs": None, "epochs": epochs}
    stopping = recipe.early_stopping
    return recipe.model_copy(
        update={
            "training": recipe.training.model_copy(update=length),
            "early_stopping": stopping and stopping.model_copy(update={"patience": max(stopping.patience, epochs)}),
        }
    )
