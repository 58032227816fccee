"""Results of a study: best recipe, trials.jsonl and two plots."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinysight.files import write_text
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.reporting import style
from tinysight.tuning import plots
from tinysight.tuning.study import Study
from tinysight.tuning.trial import Trial
from tinysight.tuning.verdict import Verdict


def best_path(folder: Path) -> Path:
    """Return the path of a study's best recipe."""
    return folder / "best.toml"


def write_results(study: Study, verdict: Verdict, dataset: str) -> None:
    """Write best.toml, trials.jsonl and the plots. Raises StorageError if the disk is full or read-only."""
    lines = [_line(study, trial) for trial in (*study.trials(), *study.fresh())]
    write_text(study.path / "trials.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
    write_text(best_path(study.path), best_text(study, verdict, dataset))
    title = f"Tuning {study.record.recipe.name} on {dataset}"
    style.save(plots.history(study.trials(), verdict, title), study.path / "plots" / "history.png")
    if shares := study.importance():
        ended = sum(trial.state == "finished" for trial in study.trials())
        style.save(plots.importance(shares, ended, title), study.path / "plots" / "importance.png")


def best_text(study: Study, verdict: Verdict, dataset: str) -> str:
    """Return the best recipe as TOML, with a comment that describes the search."""
    recipe = _renamed(study.space.recipe_with(verdict.chosen.values))
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    comment = [
        f"Found by `tinysight tune {study.record.recipe.name}` on {dataset}, {verdict.trials} trials, {today}.",
        *in_words(study, verdict),
        "The test images were not used.",
    ]
    return "".join(f"# {line}\n" for line in comment) + f"\n{loading.dump(recipe)}"


def in_words(study: Study, verdict: Verdict) -> list[str]:
    """Summarize the results of the search, one sentence per item."""
    record, baseline = study.record, verdict.start
    length = f"{record.epochs} epoch{'s' if record.epochs > 1 else ''}"
    if record.epochs < record.recipe.training.epochs:
        length += f" of {record.recipe.training.epochs}"
    reference = f"baseline {baseline.accuracy:.4f}" if baseline else "the baseline never finished"
    sentences = [
        f"Best trial: {verdict.best.number}, validation accuracy {verdict.best.accuracy:.4f} after {length} "
        f"({reference})."
    ]
    if verdict.rival is not None:
        sentences.append(_comparison(verdict.rival, verdict))
    if verdict.refuted:
        others = "1 other" if verdict.refuted == 1 else f"{verdict.refuted} others"
        sentences.append(f"{others} beat the baseline in the search, but not with new seeds.")
    if verdict.rival is None and baseline is not None and verdict.chosen != baseline:
        sentences.append("There was no time to train both with new seeds, so the gain may be due to chance.")
    if verdict.chosen == baseline:
        sentences.append("No better values were found; the best recipe is the baseline.")
    return sentences


def _comparison(trial: Trial, verdict: Verdict) -> str:
    n = len(verdict.pairs)
    baseline, challenger = (sum(values) / n for values in zip(*verdict.pairs, strict=True))
    seeds = "1 new seed" if n == 1 else f"the same {n} new seeds"
    interval = "" if verdict.interval is None else " (95 % interval {:+.4f} to {:+.4f})".format(*verdict.interval)
    return (
        f"Mean accuracy with {seeds}: trial {trial.number} {challenger:.4f}, baseline {baseline:.4f}, difference "
        f"{challenger - baseline:+.4f}{interval}."
    )


def _renamed(recipe: Recipe) -> Recipe:
    """Return the recipe with the suffix "-tuned" in its name."""
    name = recipe.name if recipe.name.endswith("-tuned") else f"{recipe.name}-tuned"
    return recipe.model_copy(update={"name": name})


def _line(study: Study, trial: Trial) -> dict[str, Any]:
    """Return a trial's line of trials.jsonl, with its changes as rounded for the recipe."""
    changes = {key: new for key, (_, new) in study.space.changes(trial.values).items()}
    fields = {key: value for key, value in asdict(trial).items() if key != "values"}
    return {**fields, "changes": changes}
