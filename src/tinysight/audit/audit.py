"""An audit: section by section, each kept as soon as it is found, so that it can be stopped and gone on with."""

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

SHADOWS = 4  # if no time was given; always an even number, so that each image is known to half of them
_EXPOSED = 20  # images that are named


@dataclass(frozen=True)
class Time:
    """How long an audit may take: `minutes` from `begun`, by `time.perf_counter`; None is as long as it needs."""

    minutes: float | None
    begun: float

    def allows(self, seconds: float) -> bool:
        """Whether something that takes so long can still be done."""
        return self.minutes is None or time.perf_counter() - self.begun + seconds <= 60 * self.minutes


def audit(
    run: Run,
    minutes: float | None = None,
    groups: Path | None = None,
    data_dir: Path | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Find out how far a run can be trusted, and keep it in the run; what it holds already is not looked for again.

    Args:
        run: a run whose training has come to an end, or was interrupted.
        minutes: how long it may take; what is left after everything else is for shadow models.
        groups: a CSV file with a column `image` and one or more columns of groups, of test images.
        data_dir: where CIFAR-10 lies, if that is to be said.
        progress: told how far the work is.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images are not those that the run was made from, or the groups are not theirs.
    """
    packages.require("cleanlab", extra="audit")  # before the first minute of work, not after the last
    allowed = Time(minutes, time.perf_counter())
    subject = Subject.of(run, data_dir, progress)
    found = Evidence(run).audit() or Audit(weights_sha256=run.weights_seal())
    if groups:
        found = _keep(run, found, groups=sections.gaps_of(groups, subject))
    for name, look in sections.SECTIONS.items():
        if getattr(found, name) is None:
            found = _keep(run, found, **{name: look(subject, progress)})
    if shadows := _shadows(subject, allowed, progress):
        found = _keep(run, found, labels=_labels(subject, shadows), membership=_membership(subject, shadows))
    return found


def _keep(run: Run, found: Audit, **sections: object) -> Audit:
    more = found.model_copy(update=sections)
    Evidence(run).write_audit(more)
    return more


def _shadows(subject: Subject, allowed: Time, progress: Progress) -> Shadows | None:
    """Return the shadow models that are kept, after more have been trained as far as the time allows."""
    run, pool = subject.run, subject.pool
    kept = Evidence(run)
    every = [Shadow(knows, logits) for knows, logits in kept.shadows()]
    recipe, seed = _recipe(subject), run.environment().seed
    numbers = precision.choose("auto", recipe, progress=progress)
    last = 0.5 * len(pool) / len(subject.images.learn) * run.summary().train_seconds
    while len(every) % 2 or (len(every) < SHADOWS if allowed.minutes is None else allowed.allows(2 * last)):
        start = time.perf_counter()
        progress.start(f"shadow model {len(every) + 1}", recipe.training.epochs * len(pool) // 2, "images")
        shadow = train_shadow(recipe, subject.dataset, pool, len(every), seed, numbers, progress)
        progress.finish()
        kept.write_shadow(len(every), shadow.knows, shadow.logits)
        every.append(shadow)
        last = time.perf_counter() - start
    return Shadows.of(every, pool.labels) if every else None


def _recipe(subject: Subject) -> Recipe:
    """Return the recipe of the run, with as many epochs as it made: shadows are not trained by the clock."""
    recipe, epochs = subject.run.recipe(), len(subject.run.history())
    timed = recipe.training.minutes is not None
    changed = {"minutes": None, "epochs": max(1, epochs) if timed else recipe.training.epochs}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changed)})


def _labels(subject: Subject, shadows: Shadows) -> WrongLabels:
    suspects = find_suspects(shadows.strangers_probabilities(), shadows.labels)
    classes = subject.dataset.class_names
    named = tuple(
        Suspect(subject.names[index], classes[shadows.labels[index]], classes[likelier], round(float(quality), 4))
        for index, likelier, quality in zip(suspects.indices, suspects.suggested, suspects.quality, strict=True)
    )
    found = {split: int((subject.splits[suspects.indices] == split).sum()) for split in SPLITS}
    return WrongLabels(len(shadows), len(shadows.labels), found, named)


def _membership(subject: Subject, shadows: Shadows) -> Membership:
    logits = logits_of(subject.classifier, subject.pool)
    scores = {
        "loss": membership.by_loss(logits, shadows.labels),
        "loss by class": membership.by_loss_and_class(logits, shadows.labels),
        "LiRA": membership.by_likelihood(logits, shadows),
    }
    attacks = {name: membership.measure(values, subject.members) for name, values in scores.items()}
    surest = np.argsort(-np.where(subject.members, scores["LiRA"], -np.inf), kind="stable")[:_EXPOSED]
    return Membership(
        shadows=len(shadows),
        members=int(subject.members.sum()),
        others=int((~subject.members).sum()),
        attacks=attacks,
        exposed=tuple(subject.names[index] for index in surest),
        words=membership.in_words(attacks),
    )
