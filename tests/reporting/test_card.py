"""Model cards: metrics come from the run, and missing ones are marked."""

import json
import shutil
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from tinysight.auditing.registry import report_sections
from tinysight.data.load import find_source
from tinysight.evaluation.evaluate import evaluate
from tinysight.reporting.card import Card
from tinysight.runs.run import Run


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    return Run(shutil.copytree(trained, tmp_path_factory.mktemp("card") / "run"))


@pytest.fixture(scope="module")
def cards(run):
    """The cards before and after evaluation, and the metrics."""
    before = Card.from_run(run, report_sections(run))
    metrics = evaluate(run, tta=True)
    return before, Card.from_run(run, report_sections(run)), metrics


def test_missing_measurements_are_marked(cards):
    before, *_ = cards
    text = before.to_markdown()
    assert "Not measured. Run `tinysight evaluate`." in text
    assert "Membership inference: not measured." in text
    assert before.evaluated_on is None


def test_metrics_equal_those_of_the_evaluation(cards):
    _, card, metrics = cards
    figures = {metric.name: metric for metric in card.metrics}
    assert figures["accuracy"].value == metrics.accuracy
    assert figures["accuracy"].interval == metrics.accuracy_ci95
    assert figures["accuracy with test-time augmentation"].value == metrics.accuracy_tta
    name = card.classes[3]
    assert card.recall[name].value == metrics.per_class[name].recall
    low, high = metrics.accuracy_ci95
    assert f"| accuracy | {metrics.accuracy:.1%} ({low:.1%} to {high:.1%}) |" in card.to_markdown()
    assert "On 30 test images, which were not used for training" in card.to_markdown()


def test_the_front_matter_is_valid_for_model_hubs(cards):
    _, card, metrics = cards
    opening, head, *_ = card.to_markdown().split("---\n")
    values = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in head.splitlines()}
    assert opening == ""
    assert values["pipeline_tag"] == "image-classification"
    (result,) = values["model-index"][0]["results"]
    assert result["metrics"][0] == {"type": "accuracy", "name": "accuracy", "value": round(metrics.accuracy, 6)}
    assert all(metric["type"].isalnum() for metric in result["metrics"])


def test_local_paths_are_not_published(run, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    environment = copy.environment()
    record = environment.dataset.model_copy(
        update={"name": "photos", "argument": "/home/me/photos", "source": "image files in /home/me/photos"}
    )
    copy.write_environment(environment.model_copy(update={"dataset": record}))
    text = Card.from_run(copy).to_markdown()
    assert "photos" in text
    assert "/home/me" not in text


def test_recognition_of_people_is_out_of_scope(cards):
    text = cards[0].to_markdown()
    assert "Not for recognizing, identifying, counting or surveilling people" in text
    assert "synthetic images" in text


def test_the_json_document_holds_the_same_metrics(cards):
    _, card, metrics = cards
    values = json.loads(json.dumps(card.to_dict(), allow_nan=False))
    assert values["metrics"][0]["value"] == metrics.accuracy
    assert set(values["audit"].values()) == {"not measured"}


def test_the_provenance_of_cifar10_states_that_no_consent_was_obtained():
    origin = find_source("cifar10").provenance
    assert "80 Million Tiny Images" in origin.source
    assert "No consent was obtained" in origin.consent
    assert "withdrew it in 2020" in origin.consent


@pytest.mark.parametrize("name", ["photos", "cifar10", "shapes"])
def test_the_provenance_of_a_folder_is_not_stated_whatever_its_name(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    origin = find_source(f"./{name}").provenance
    assert origin.consent.startswith("Not stated.")
    assert origin.license.startswith("Not stated.")


@pytest.mark.parametrize(
    "name",
    [
        "![](http://x/y.png)",
        "[a](javascript:alert(1))",
        "<img src=x>",
        "a | b",
        "# a",
        "*a*",
        "`a`",
        "a\n\n# b",
        "1. a",
        "- a",
        "&lt;",
    ],
)
def test_names_are_escaped_everywhere_in_the_card(cards, name):
    """A Markdown parser finds the same elements as in a card with a harmless name."""
    _, card, _ = cards
    plain, escaped = (_with_name(card, text).to_markdown() for text in ("name", name))
    kinds = [[token.type for token in _tokens(text)] for text in (plain, escaped)]
    assert kinds[0] == kinds[1]
    visible = "".join(token.content for token in _tokens(escaped) if token.type == "text")
    assert " ".join(name.split()) in visible


def test_ordinary_text_in_the_card_is_not_escaped(cards):
    text = cards[1].to_markdown()
    assert "- machine: " in text
    assert "\\(" not in text
    assert "\\#" not in text


def _with_name(card, name):
    """Return a card in which a class, the dataset and a note have the name."""
    classes = (name, *card.classes[1:])
    scores = [
        {new: metrics[old] for new, old in zip(classes, card.classes, strict=True)}
        for metrics in (card.recall, card.precision)
    ]
    return replace(card, classes=classes, recall=scores[0], precision=scores[1], dataset=name, notes=(name,))


def _tokens(text):
    """Return the block and inline tokens of the card without its front matter."""
    body = text.split("---\n", 2)[2]
    parser = MarkdownIt("commonmark").enable("table")
    return [inner for token in parser.parse(body) for inner in (token.children or [token])]
