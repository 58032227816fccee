"""What a study leaves for people: the best recipe, a line a trial, and two plots."""

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
    """Return where the best recipe of a study is."""
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
    """Return the best recipe as TOML, under a comment that says how it was found."""
    recipe = _named(study.space.recipe_with(verdict.chosen.values))
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    head = [
        f"Found by `tinysight tune {study.record.recipe.name}` on {dataset}, {verdict.trials} trials, {today}.",
        *in_words(study, verdict),
        "The test images had no part in it.",
    ]
    return "".join(f"# {line}\n" for line in head) + f"\n{loading.dump(recipe)}"


def in_words(study: Study, verdict: Verdict) -> list[str]:
    """Say what was found, in sentences."""
    record, start = study.record, verdict.start
    length = f"{record.epochs} epoch{'s' if record.epochs > 1 else ''}"
    if record.epochs < record.recipe.training.epochs:
        length += f" of {record.recipe.training.epochs}"
    before = f"the recipe as it was has {start.accuracy:.4f}" if start else "the recipe as it was never came to its end"
    said = [
        f"Trial {verdict.best.number} came furthest: validation accuracy {verdict.best.accuracy:.4f} after {length}, "
        f"where {before}."
    ]
    if verdict.rival is not None:
        said.append(_compared(verdict.rival, verdict))
    if verdict.refuted:
        others = "1 other" if verdict.refuted == 1 else f"{verdict.refuted} others"
        said.append(f"{others} came further in the search, but not with fresh seeds.")
    if verdict.rival is None and start is not None and verdict.chosen != start:
        said.append("There was no time to train both with fresh seeds, so that much of this may be luck.")
    if verdict.chosen == start:
        said.append("Nothing better was found, so the best recipe is the one as it was.")
    return said


def _compared(rival: Trial, verdict: Verdict) -> str:
    n = len(verdict.pairs)
    before, after = (sum(values) / n for values in zip(*verdict.pairs, strict=True))
    seeds = "one fresh seed" if n == 1 else f"{n} fresh seeds, each for both"
    interval = "" if verdict.interval is None else " (95 % interval {:+.4f} to {:+.4f})".format(*verdict.interval)
    return (
        f"Trial {rival.number} and the recipe as it was with {seeds}: {after:.4f} and {before:.4f}, a difference of "
        f"{after - before:+.4f}{interval}."
    )


def _named(recipe: Recipe) -> Recipe:
    """Return the recipe under a name of its own."""
    name = recipe.name if recipe.name.endswith("-tuned") else f"{recipe.name}-tuned"
    return recipe.model_copy(update={"name": name})


def _line(study: Study, trial: Trial) -> dict[str, Any]:
    """Return the line of trials.jsonl: what Optuna suggested as the recipe would hold it."""
    changes = {key: new for key, (_, new) in study.space.changes(trial.values).items()}
    told = {key: value for key, value in asdict(trial).items() if key != "values"}
    return {**told, "changes": changes}
