"""The files and sentences of a finished search agree with its trials."""

import json
import tomllib
from dataclasses import replace

import pytest
from PIL import Image

from tinysight.recipes import loading
from tinysight.tuning.results import best_recipe_path, format_best_recipe, summarize, write_results
from tinysight.tuning.selection import select_best
from tinysight.tuning.study import MIN_FOR_IMPORTANCE, Study
from tinysight.tuning.tune import TuneResult


def select(study):
    return select_best(study.trials(), study.reseeded_trials(), study.baseline)


def lines_of(study):
    return [json.loads(line) for line in (study.path / "trials.jsonl").read_text().splitlines()]


def test_every_trial_has_a_line_with_its_stored_values(study, search, ended):
    search(0.5, 0.7)
    study.next_trial().finish(ended(0.2, "pruned"))
    study.next_trial().finish(ended(0, "failed", "The loss became nan."))
    study.next_reseeded().finish(ended(0.55))
    write_results(study, select(study), "shapes")
    lines = lines_of(study)
    assert [line["state"] for line in lines] == ["finished", "finished", "pruned", "failed", "finished"]
    assert [line["accuracy"] for line in lines] == [0.5, 0.7, 0.2, 0, 0.55]
    assert [line["error"] for line in lines] == ["", "", "", "The loss became nan.", ""]
    assert [(line["reseed_of"], line["reseed_number"]) for line in lines] == [(None, 0)] * 4 + [(0, 1)]
    assert all((line["epochs"], line["seconds"], line["worker"]) == (2, 1.0, 0) for line in lines)


def test_changes_of_a_line_reproduce_the_recipe_of_its_trial(study, search):
    search(*[0.5] * 6)
    write_results(study, select(study), "shapes")
    text = loading.dump_recipe(study.record.recipe)
    for line, trial in zip(lines_of(study), study.trials(), strict=True):
        changes = [f"{key}={json.dumps(value)}" for key, value in line["changes"].items()]
        assert loading.parse_recipe(text, "recipe", changes) == study.space.recipe_with(trial.values)


def test_best_recipe_holds_the_values_of_the_selected_trial(study, search):
    search(0.5, 0.4, 0.9, 0.6)
    selection = select(study)
    write_results(study, selection, "shapes")
    written = loading.load_recipe(str(best_recipe_path(study.path)))
    assert selection.chosen.number == 2
    assert written == study.space.recipe_with(study.trials()[2].values).model_copy(update={"name": written.name})
    assert written.name == "early-stopping-tuned"


def test_recipe_that_was_already_tuned_keeps_its_name(study, search, record, tmp_path, ended):
    tuned = record.recipe.model_copy(update={"name": "mine-tuned"})
    again = Study.create(tmp_path / "again", record.model_copy(update={"recipe": tuned}))
    with again.join():
        again.next_trial().finish(ended())
        assert tomllib.loads(format_best_recipe(again, select(again), "shapes"))["name"] == "mine-tuned"


@pytest.mark.parametrize(
    "name", ["shapes", "a\nb", "a\rb", 'a\nname = "b"', "a\x00b", "\N{SNOWMAN} [data]", "a\x85b", "\udce9"]
)
def test_comment_is_valid_for_any_name_of_a_dataset(study, search, name):
    search(0.5, 0.7)
    text = format_best_recipe(study, select(study), name)
    assert text.encode()
    assert loading.parse_recipe(text, "best.toml").name == "early-stopping-tuned"
    comment = text.split("\n\n")[0].splitlines()
    assert all(line.startswith("# ") for line in comment)
    assert "2 trials" in comment[0]
    assert comment[-1] == "# The test images were not used."


def test_writing_again_replaces_the_files(study, search):
    search(0.5)
    write_results(study, select(study), "shapes")
    search(0.8)
    write_results(study, select(study), "shapes")
    assert [line["accuracy"] for line in lines_of(study)] == [0.5, 0.8]
    names = sorted(path.relative_to(study.path).as_posix() for path in study.path.rglob("*") if path.is_file())
    assert {name for name in names if not name.startswith(("workers", "study"))} == {
        "best.toml",
        "plots/history.png",
        "trials.jsonl",
    }


def test_plots_are_images_and_importance_needs_ten_trials(study, search):
    search(*[0.5 + number / 100 for number in range(MIN_FOR_IMPORTANCE)])
    write_results(study, select(study), "shapes")
    for name in ("history", "importance"):
        with Image.open(study.path / "plots" / f"{name}.png") as image:
            image.load()
            assert (image.format, image.width) == ("PNG", 1200)


def test_trials_of_equal_accuracy_have_no_importance(study, search):
    """An easy dataset: every trial is right on all validation images."""
    search(*[1.0] * MIN_FOR_IMPORTANCE)
    assert study.importance() == {}
    write_results(study, select(study), "shapes")
    assert not (study.path / "plots" / "importance.png").exists()
    assert "No better values were found" in " ".join(summarize(study, select(study)))


@pytest.mark.parametrize(
    ("accuracies", "count", "numbers"),
    [
        ([0.5], 3, [0]),
        ([0.5, 0.7, 0.6], 2, [1, 2, 0]),
        ([0.5, 0.7, 0.6], 3, [1, 2, 0]),
        ([0.9, 0.7, 0.6, 0.8], 2, [0, 3]),
        ([0.5, 0.7, 0.7, 0.7], 2, [1, 2, 0]),
        ([0.5, 0.7], 0, [0]),
    ],
)
def test_top_trials_are_sorted_and_include_the_baseline(study, search, accuracies, count, numbers):
    search(*accuracies)
    result = TuneResult(study, select(study), interrupted=False)
    assert [trial.number for trial in result.top_trials(count)] == numbers


def test_changes_are_described_by_key_and_new_value(study, search):
    search(0.5)
    result, baseline = TuneResult(study, select(study), interrupted=False), study.trials()[0]
    assert result.describe_changes(baseline) == "none (baseline)"
    changed = replace(baseline, values={**baseline.values, "optimizer.learning_rate": 0.00123456})
    assert result.describe_changes(changed) == "learning_rate 0.00123"
    changed = replace(changed, values={**changed.values, "training.batch_size": 64})
    assert sorted(result.describe_changes(changed).split(", ")) == ["batch_size 64", "learning_rate 0.00123"]
