"""Run an audit. Each section is saved when it is done, so an audit resumes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinysight import packages
from tinysight.audit import membership, sections
from tinysight.audit.labels import find_suspects
from tinysight.audit.shadows import Shadow, Shadows, logits_of, train_shadow
from tinysight.audit.subject import SPLITS, Subject
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.runs.evidence import Evidence
from tinysight.runs.findings import Audit, Membership, Suspect, WrongLabels
from tinysight.runs.run import Run
from tinysight.training import precision

SHADOWS = 4  # without a time limit; even, so that half of the shadow models train on each image
_MAX_EXPOSED = 20  # images listed by name


@dataclass(frozen=True)
class Time:
    """Time limit of an audit: `minutes` after `begun` (`time.perf_counter`); None is no limit."""

    minutes: float | None
    begun: float

    def allows(self, seconds: float) -> bool:
        """Return whether a step of `seconds` ends before the limit."""
        return self.minutes is None or time.perf_counter() - self.begun + seconds <= 60 * self.minutes


def audit(
    run: Run,
    minutes: float | None = None,
    groups: Path | None = None,
    data_dir: Path | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Audit a run and write audit.json; sections that it already holds are not computed again.

    Args:
        run: a finished or interrupted run.
        minutes: time limit. Shadow models are trained in the time that the other sections leave.
        groups: CSV file with a column `image` (names of test images) and one or more columns of groups.
        data_dir: directory of CIFAR-10, if it is not in a default location.
        progress: receives the progress.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images differ from those that the run was trained on, or `groups` names other images.
    """
    packages.require("cleanlab", extra="audit")  # fail before any work is done
    deadline = Time(minutes, time.perf_counter())
    context = Subject.of(run, data_dir, progress)
    results = Evidence(run).audit() or Audit(weights_sha256=run.weights_seal())
    if groups:
        results = _save(run, results, groups=sections.gaps_of(groups, context))
    for name, compute in sections.SECTIONS.items():
        if getattr(results, name) is None:
            results = _save(run, results, **{name: compute(context, progress)})
    if shadows := _train_shadows(context, deadline, progress):
        results = _save(run, results, labels=_labels(context, shadows), membership=_membership(context, shadows))
    return results


def _save(run: Run, results: Audit, **sections: object) -> Audit:
    updated = results.model_copy(update=sections)
    Evidence(run).write_audit(updated)
    return updated


def _train_shadows(context: Subject, deadline: Time, progress: Progress) -> Shadows | None:
    """Train shadow models until the deadline, and return them with those of earlier audits."""
    run, pool = context.run, context.pool
    artifacts = Evidence(run)
    models = [Shadow(knows, logits) for knows, logits in artifacts.shadows()]
    recipe, seed = _shadow_recipe(context), run.environment().seed
    dtype = precision.choose("auto", recipe, progress=progress)
    seconds = 0.5 * len(pool) / len(context.images.learn) * run.summary().train_seconds  # of the last one
    while len(models) % 2 or (len(models) < SHADOWS if deadline.minutes is None else deadline.allows(2 * seconds)):
        start = time.perf_counter()
        progress.start(f"shadow model {len(models) + 1}", recipe.training.epochs * len(pool) // 2, "images")
        shadow = train_shadow(recipe, context.dataset, pool, len(models), seed, dtype, progress)
        progress.finish()
        artifacts.write_shadow(len(models), shadow.knows, shadow.logits)
        models.append(shadow)
        seconds = time.perf_counter() - start
    return Shadows.of(models, pool.labels) if models else None


def _shadow_recipe(context: Subject) -> Recipe:
    """Return the recipe of the run; a time budget is replaced by the number of epochs that the run trained."""
    recipe, epochs = context.run.recipe(), len(context.run.history())
    timed = recipe.training.minutes is not None
    overrides = {"minutes": None, "epochs": max(1, epochs) if timed else recipe.training.epochs}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=overrides)})


def _labels(context: Subject, shadows: Shadows) -> WrongLabels:
    issues = find_suspects(shadows.strangers_probabilities(), shadows.labels)
    classes = context.dataset.class_names
    suspects = tuple(
        Suspect(context.names[index], classes[shadows.labels[index]], classes[suggested], round(float(quality), 4))
        for index, suggested, quality in zip(issues.indices, issues.suggested, issues.quality, strict=True)
    )
    counts = {split: int((context.splits[issues.indices] == split).sum()) for split in SPLITS}
    return WrongLabels(len(shadows), len(shadows.labels), counts, suspects)


def _membership(context: Subject, shadows: Shadows) -> Membership:
    logits = logits_of(context.classifier, context.pool)
    scores = {
        "loss": membership.by_loss(logits, shadows.labels),
        "loss by class": membership.by_loss_and_class(logits, shadows.labels),
        "LiRA": membership.by_likelihood(logits, shadows),
    }
    attacks = {name: membership.measure(values, context.members) for name, values in scores.items()}
    exposed = np.argsort(-np.where(context.members, scores["LiRA"], -np.inf), kind="stable")[:_MAX_EXPOSED]
    return Membership(
        shadows=len(shadows),
        members=int(context.members.sum()),
        others=int((~context.members).sum()),
        attacks=attacks,
        exposed=tuple(context.names[index] for index in exposed),
        words=membership.in_words(attacks),
    )
