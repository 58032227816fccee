"""Results of a study: best recipe, trials.jsonl and two plots."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinysight._util.console import escape_control
from tinysight._util.files import write_text
from tinysight._util.formatting import percent, points
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.reporting import style
from tinysight.tuning import plots
from tinysight.tuning.selection import Selection
from tinysight.tuning.study import Study
from tinysight.tuning.trial import Trial


def best_recipe_path(folder: Path) -> Path:
    """Return the path of a study's best recipe."""
    return folder / "best.toml"


def write_results(study: Study, selection: Selection, dataset: str) -> None:
    """Write best.toml, trials.jsonl and the plots. Raises StorageError if the disk is full or read-only."""
    lines = [_line(study, trial) for trial in (*study.trials(), *study.reseeded_trials())]
    write_text(study.path / "trials.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
    write_text(best_recipe_path(study.path), format_best_recipe(study, selection, dataset))
    title = f"Tuning {study.record.recipe.name} on {dataset}"
    history = plots.plot_history(study.trials(), selection, title, study.record.measure)
    style.save(history, study.path / "plots" / "history.png")
    if shares := study.importance():
        ended = sum(trial.state == "finished" for trial in study.trials())
        importance = plots.plot_importance(shares, ended, title, study.record.measure)
        style.save(importance, study.path / "plots" / "importance.png")


def format_best_recipe(study: Study, selection: Selection, dataset: str) -> str:
    """Return the best recipe as TOML, with a comment that describes the search."""
    recipe = _renamed(study.space.recipe_with(selection.chosen.values))
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    comment = [
        f"Found by `tinysight tune {study.record.recipe.name}` on {escape_control(dataset)}, "
        f"{selection.n_trials} trials, {today}.",
        *summarize(study, selection),
        "The test images were not used.",
    ]
    return "".join(f"# {line}\n" for line in comment) + f"\n{loading.dump_recipe(recipe)}"


def summarize(study: Study, selection: Selection) -> list[str]:
    """Summarize the results of the search, one sentence per item."""
    record, baseline = study.record, selection.baseline
    length = f"{record.epochs} epoch{'s' if record.epochs > 1 else ''}"
    if record.epochs < record.recipe.training.epochs:
        length += f" of {record.recipe.training.epochs}"
    reference = f"baseline {percent(baseline.score)}" if baseline else "the baseline never finished"
    score = f"validation {record.measure} {percent(selection.best.score)}"
    sentences = [f"Best trial: {selection.best.number}, {score} after {length} ({reference})."]
    if selection.challenger is not None:
        sentences.append(_comparison(selection.challenger, selection, record.short_measure))
    if selection.n_rejected:
        others = "1 other" if selection.n_rejected == 1 else f"{selection.n_rejected} others"
        sentences.append(f"{others} beat the baseline in the search, but not with new seeds.")
    if selection.challenger is None and baseline is not None and selection.chosen != baseline:
        sentences.append("There was no time to train both with new seeds, so the gain may be due to chance.")
    if selection.chosen == baseline:
        sentences.append("No better values were found; the best recipe is the baseline.")
    return sentences


def _comparison(trial: Trial, selection: Selection, measure: str) -> str:
    n = len(selection.pairs)
    baseline, challenger = (sum(values) / n for values in zip(*selection.pairs, strict=True))
    seeds = "1 new seed" if n == 1 else f"the same {n} new seeds"
    interval = ""
    if selection.gain_interval is not None:
        low, high = selection.gain_interval
        interval = f" (95% confidence interval {points(low)} to {points(high)})"
    return (
        f"Mean {measure} with {seeds}: trial {trial.number} {percent(challenger)}, baseline {percent(baseline)}, "
        f"difference {points(challenger - baseline)} percentage points{interval}."
    )


def _renamed(recipe: Recipe) -> Recipe:
    """Return the recipe with the suffix "-tuned" in its name."""
    name = recipe.name if recipe.name.endswith("-tuned") else f"{recipe.name}-tuned"
    return recipe.model_copy(update={"name": name})


def _line(study: Study, trial: Trial) -> dict[str, Any]:
    """Return a trial's line of trials.jsonl, with its changes as rounded for the recipe.

    The key of the score is "accuracy", or "mean_average_precision" if images may have several labels.
    """
    changes = {key: new for key, (_, new) in study.space.changes(trial.values).items()}
    names = {"score": study.record.measure.replace(" ", "_")}
    fields = {names.get(key, key): value for key, value in asdict(trial).items() if key != "values"}
    return {**fields, "changes": changes}
