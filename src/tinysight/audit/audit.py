"""Run an audit. Each section is saved when it is done, so an audit resumes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinysight._util import optional_deps
from tinysight._util.progress import SILENT, Progress
from tinysight.audit import membership_inference, sections
from tinysight.audit.context import SPLITS, AuditContext
from tinysight.audit.label_errors import find_label_issues
from tinysight.audit.shadow_models import ShadowModel, ShadowModels, float32_logits, train_shadow_model
from tinysight.recipes.schema import Recipe
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import Audit, LabelIssue, LabelIssues, MembershipInference
from tinysight.runs.run import Run
from tinysight.training import precision

N_SHADOW_MODELS = 4  # without a time limit; even, so that half of the shadow models train on each image
_MAX_EXPOSED = 20  # images listed by name


@dataclass(frozen=True)
class Deadline:
    """Time limit of an audit: `minutes` after `start` (`time.perf_counter`); None is no limit."""

    minutes: float | None
    start: float

    def allows(self, seconds: float) -> bool:
        """Return whether a step of `seconds` ends before the limit."""
        return self.minutes is None or time.perf_counter() - self.start + seconds <= 60 * self.minutes


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
    optional_deps.require("cleanlab", extra="audit")  # fail before any work is done
    deadline = Deadline(minutes, time.perf_counter())
    context = AuditContext.from_run(run, data_dir, progress)
    results = RunArtifacts(run).audit() or Audit(weights_sha256=run.weights_checksum())
    if groups:
        results = _save(run, results, user_subgroups=sections.subgroup_gaps_from_csv(groups, context))
    for name, compute in sections.SECTIONS.items():
        if getattr(results, name) is None:
            results = _save(run, results, **{name: compute(context, progress)})
    if shadows := _train_shadows(context, deadline, progress):
        results = _save(run, results, label_issues=_labels(context, shadows), membership=_membership(context, shadows))
    return results


def _save(run: Run, results: Audit, **sections: object) -> Audit:
    updated = results.model_copy(update=sections)
    RunArtifacts(run).write_audit(updated)
    return updated


def _train_shadows(context: AuditContext, deadline: Deadline, progress: Progress) -> ShadowModels | None:
    """Train shadow models until the deadline, and return them with those of earlier audits."""
    run, pool = context.run, context.pool
    artifacts = RunArtifacts(run)
    models = [ShadowModel(knows, logits) for knows, logits in artifacts.shadow_models()]
    recipe, seed = _shadow_recipe(context), run.environment().seed
    dtype = precision.resolve_precision("auto", recipe, progress=progress)
    seconds = 0.5 * len(pool) / len(context.train_split.train_indices) * run.summary().train_seconds  # of the last one
    while len(models) % 2 or (
        len(models) < N_SHADOW_MODELS if deadline.minutes is None else deadline.allows(2 * seconds)
    ):
        start = time.perf_counter()
        progress.start(f"shadow model {len(models) + 1}", recipe.training.epochs * len(pool) // 2, "images")
        shadow = train_shadow_model(recipe, context.dataset, pool, len(models), seed, dtype, progress)
        progress.finish()
        artifacts.write_shadow_model(len(models), shadow.in_mask, shadow.logits)
        models.append(shadow)
        seconds = time.perf_counter() - start
    return ShadowModels.stack(models, pool.labels) if models else None


def _shadow_recipe(context: AuditContext) -> Recipe:
    """Return the recipe of the run; a time budget is replaced by the number of epochs that the run trained."""
    recipe, epochs = context.run.recipe(), len(context.run.history())
    timed = recipe.training.minutes is not None
    overrides = {"minutes": None, "epochs": max(1, epochs) if timed else recipe.training.epochs}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=overrides)})


def _labels(context: AuditContext, shadows: ShadowModels) -> LabelIssues:
    issues = find_label_issues(shadows.out_of_fold_probabilities(), shadows.labels)
    classes = context.dataset.class_names
    suspects = tuple(
        LabelIssue(context.names[index], classes[shadows.labels[index]], classes[suggested], round(float(quality), 4))
        for index, suggested, quality in zip(issues.indices, issues.suggested, issues.quality, strict=True)
    )
    counts = {split: int((context.splits[issues.indices] == split).sum()) for split in SPLITS}
    return LabelIssues(len(shadows), len(shadows.labels), counts, suspects)


def _membership(context: AuditContext, shadows: ShadowModels) -> MembershipInference:
    logits = float32_logits(context.classifier, context.pool)
    scores = {
        "loss": membership_inference.loss_attack(logits, shadows.labels),
        "class-wise loss": membership_inference.classwise_loss_attack(logits, shadows.labels),
        "LiRA": membership_inference.lira(logits, shadows),
    }
    attacks = {name: membership_inference.evaluate_attack(values, context.is_member) for name, values in scores.items()}
    exposed = np.argsort(-np.where(context.is_member, scores["LiRA"], -np.inf), kind="stable")[:_MAX_EXPOSED]
    return MembershipInference(
        n_shadow_models=len(shadows),
        n_members=int(context.is_member.sum()),
        n_non_members=int((~context.is_member).sum()),
        attacks=attacks,
        most_exposed=tuple(context.names[index] for index in exposed),
        summary=membership_inference.summarize_attacks(attacks),
    )
