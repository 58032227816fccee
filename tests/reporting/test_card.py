"""The card: what it says comes from the run, and of what nobody measured it says so."""

import json
import shutil

import pytest

from tinysight.evaluation.evaluate import evaluate
from tinysight.reporting.card import Card
from tinysight.runs.run import Run


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    return Run(shutil.copytree(trained, tmp_path_factory.mktemp("card") / "run"))


@pytest.fixture(scope="module")
def cards(run):
    """The card before and after the run was evaluated, and what the evaluation found."""
    before = Card.of(run)
    metrics = evaluate(run, tta=True)
    return before, Card.of(run), metrics


def test_what_was_not_measured_says_so(cards):
    before, *_ = cards
    text = before.markdown()
    assert "Not measured: `tinysight evaluate` measures it." in text
    assert "Privacy: not measured." in text
    assert before.measured_on is None


def test_the_figures_are_those_of_the_evaluation(cards):
    _, card, metrics = cards
    figures = {one.name: one for one in card.figures}
    assert figures["accuracy"].value == metrics["accuracy"]
    assert figures["accuracy"].interval == tuple(metrics["accuracy_ci95"])
    assert figures["accuracy with test-time augmentation"].value == metrics["accuracy_tta"]
    name = card.classes[3]
    assert card.recall[name].value == metrics["per_class"][name]["recall"]
    assert f"| accuracy | {100 * metrics['accuracy']:.2f} % (" in card.markdown()


def test_the_head_is_yaml_that_model_hubs_read(cards):
    _, card, metrics = cards
    opening, head, *_ = card.markdown().split("---\n")
    values = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in head.splitlines()}
    assert opening == ""
    assert values["pipeline_tag"] == "image-classification"
    (result,) = values["model-index"][0]["results"]
    assert result["metrics"][0] == {"type": "accuracy", "name": "accuracy", "value": round(metrics["accuracy"], 6)}
    assert all(one["type"].isalnum() for one in result["metrics"])


def test_the_folders_of_who_made_it_are_not_handed_on(run, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    environment = copy.environment()
    record = environment.dataset.model_copy(
        update={"name": "photos", "argument": "/home/me/photos", "source": "image files in /home/me/photos"}
    )
    copy.write_environment(environment.model_copy(update={"dataset": record}))
    text = Card.of(copy).markdown()
    assert "photos" in text
    assert "/home/me" not in text


def test_people_and_identification_are_named_among_what_it_is_not_for(cards):
    text = cards[0].markdown()
    assert "Not for recognising, identifying, counting or watching people" in text
    assert "synthetic images" in text


def test_the_document_for_programs_is_json_with_the_same_figures(cards):
    _, card, metrics = cards
    values = json.loads(json.dumps(card.document(), allow_nan=False))
    assert values["figures"][0]["value"] == metrics["accuracy"]
    assert set(values["audit"].values()) == {"not measured"}


def test_cifar10_says_where_it_comes_from_and_that_nobody_was_asked():
    from tinysight.reporting.origins import origin_of

    origin = origin_of("cifar10")
    assert "80 Million Tiny Images" in origin.source
    assert "Nobody was asked" in origin.consent
    assert "withdrawn by its authors in 2020" in origin.consent


def test_of_a_folder_the_origin_is_not_made_up():
    from tinysight.reporting.origins import origin_of

    assert origin_of("photos").consent.startswith("Not stated.")
