"""Card and report of a run with known metrics: every row, cell and sentence against the values."""

import re
import shutil
from html import unescape

import numpy as np
import pytest

from tinysight.data.load import load
from tinysight.reporting.card import Card, load_metrics
from tinysight.reporting.report import render_report
from tinysight.reporting.section import Cell, ListedImage, ReportSection, Row, Table
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import TrueClassProbability, UnlearningReport
from tinysight.runs.records import (
    CalibrationMetrics,
    ClassScores,
    MetricIntervals,
    Metrics,
    OodMetrics,
    ReliabilityBin,
    ScoreIntervals,
    SelectiveMetrics,
    SetCoverage,
    SetMetrics,
)
from tinysight.runs.run import Run

TOO_FEW = (  # of the classifier, which was trained with ten validation images
    "All predictions are unsure: no threshold can promise at most 5.0% wrong predictions with 10 validation images; at "
    "least 59 are needed. Use more images, or set training.target_error to 0.26 or more."
)
N_WRONG = 26  # more than the 24 mistakes that a page shows


@pytest.fixture(scope="module")
def dataset():
    return load("shapes:train=100,test=30")


def known_metrics(run, dataset, **changes):
    """Return metrics with a different value in every field; the first 26 of 30 predictions are wrong."""
    names, labels = dataset.class_names, dataset.test.labels
    predicted = np.where(np.arange(30) < N_WRONG, (labels + 1) % 10, labels)
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, predicted), 1)
    scores = {
        name: ClassScores(
            precision=0.1 + number / 100, recall=0.3 + number / 100, f1=0.5 + number / 100, support=number
        )
        for number, name in enumerate(names)
    }
    bounds = ScoreIntervals(precision=(0.01, 0.91), recall=(0.02, 0.92), f1=(0.03, 0.93))
    values = {
        "split": "test",
        "n": 30,
        "accuracy": 4 / 30,
        "accuracy_ci95": (0.0531, 0.2968),
        "balanced_accuracy": 0.3,
        "loss": 1.23456,
        "accuracy_tta": 0.2,
        "per_class": scores,
        "macro": ClassScores(precision=0.11, recall=0.12, f1=0.13, support=30),
        "weighted": ClassScores(precision=0.21, recall=0.22, f1=0.23, support=30),
        "confusion_matrix": tuple(tuple(int(count) for count in row) for row in matrix),
        "calibration": CalibrationMetrics(
            ece=0.0321,
            rms_error=0.0456,
            temperature=1.234,
            bins=(ReliabilityBin(n=30, confidence=0.7, accuracy=0.13, accuracy_ci95=(0.05, 0.3)),),
        ),
        "selective": SelectiveMetrics(
            threshold=0.678,
            coverage=0.345,
            coverage_ci95=(0.2, 0.5),
            error=0.067,
            error_ci95=(0.01, 0.3),
            aurc=0.5,
            curve=((1.0, 0.8),),
        ),
        "intervals": MetricIntervals(
            method="a known method",
            accuracy_tta=(0.1, 0.3),
            balanced_accuracy=(0.15, 0.45),
            loss=(1.0, 1.5),
            calibration_error=(0.01, 0.09),
            macro=bounds,
            weighted=bounds,
            per_class=dict.fromkeys(names, bounds),
        ),
        "weights_sha256": run.weights_checksum(),
    }
    return Metrics(**values | changes), predicted


@pytest.fixture(scope="module")
def make_run(trained, dataset, tmp_path_factory):
    """Return a function that makes a new run with known metrics, of which some are changed."""

    def make(**changes):
        run = Run(shutil.copytree(trained, tmp_path_factory.mktemp("known") / "run"))
        environment = run.environment()
        run.write_environment(environment.model_copy(update={"threads": 2, "workers": 3, "processor": "a processor"}))
        totals = {"train_seconds": 3600.0, "parameters": 1_234_567, "notes": ("a note",)}
        run.write_summary(run.summary().model_copy(update=totals))
        metrics, predicted = known_metrics(run, dataset, **changes)
        run.write_metrics(metrics)
        probabilities = np.full((30, 10), 0.0, np.float32)
        confidence = 0.6 + np.arange(30) / 100
        probabilities[:] = ((1 - confidence) / 9)[:, None]
        probabilities[np.arange(30), predicted] = confidence
        run.write_predictions(probabilities, dataset.test.labels)
        return run

    return make


@pytest.fixture(scope="module")
def run(make_run):
    """A run with known metrics; tests must not change it."""
    return make_run()


@pytest.fixture(scope="module")
def page(run, dataset):
    """The report of `run` without an audit."""
    return render_report(run, dataset, [])


def markdown_rows(text):
    """Return the rows of all Markdown tables as tuples of cells."""
    return [tuple(line.strip("| ").split(" | ")) for line in text.splitlines() if line.startswith("| ")]


def words(html):
    """Return the text of a piece of HTML with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def table_rows(html):
    return [
        [words(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", html, re.DOTALL)
    ]


def part(html, name):
    """Return the section of a page with that ID."""
    return html.split(f'<section id="{name}">')[1].split("</section>")[0]


def test_every_metric_is_a_row_of_the_card(run, dataset):
    rows = markdown_rows(Card.from_run(run).to_markdown())
    assert rows[:9] == [
        ("metric", "value"),
        ("accuracy", "13.3% (5.3% to 29.7%)"),
        ("accuracy with test-time augmentation", "20.0% (10.0% to 30.0%)"),
        ("balanced accuracy", "30.0% (15.0% to 45.0%)"),
        ("f1, macro average", "13.0% (3.0% to 93.0%)"),
        ("loss, nats", "1.235 (1.000 to 1.500)"),
        ("calibration error, root mean square", "4.6% (1.0% to 9.0%)"),
        ("coverage (share of images not marked unsure)", "34.5% (20.0% to 50.0%)"),
        ("error on these images", "6.7% (1.0% to 30.0%)"),
    ]
    assert rows[9] == ("class", "recall", "precision")
    assert rows[10:] == [
        (name, f"{30 + number}.0% (2.0% to 92.0%)", f"{10 + number}.0% (1.0% to 91.0%)")
        for number, name in enumerate(dataset.class_names)
    ]


def test_a_metric_that_was_not_computed_has_no_row(make_run):
    card = Card.from_run(make_run(accuracy_tta=None))
    assert "test-time augmentation" not in card.to_markdown()
    assert len(card.metrics) == 7


def test_the_energy_is_training_time_times_threads_times_15_watts(run):
    card = Card.from_run(run)
    assert card.kilowatt_hours == pytest.approx(3600 * 6 * 15 / 3_600_000)
    assert "3,600 s of training, about 0.0900 kWh." in card.to_markdown()
    assert "training time x threads x 15 W," in card.to_markdown()


def test_the_details_of_the_training_are_listed(run):
    environment = run.environment()
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    assert Card.from_run(run).training_details == {
        "recipe": f"early-stopping, 2 epochs, seed {environment.seed}",
        "parameters": "1,234,567",
        "machine": f"a processor, 6 threads, {environment.precision}",
        "versions": versions,
        "images": f"{environment.dataset.name}, fingerprint {environment.dataset.fingerprint}",
    }


def test_the_front_matter_lists_rounded_metrics(run):
    card = Card.from_run(run)
    head = card.to_markdown().split("---\n")[1]
    assert f'model-index: [{{"name": "early-stopping on {card.dataset}"' in head
    assert '{"type": "accuracy", "name": "accuracy", "value": 0.133333}' in head
    assert '{"type": "f1", "name": "f1, macro average", "value": 0.13}' in head
    assert '{"type": "loss", "name": "loss, nats", "value": 1.23456}' in head


@pytest.mark.parametrize(("n", "text"), [(30, "30 test images"), (12345, "12,345 test images")])
def test_the_card_states_the_evaluated_images(make_run, n, text):
    card = Card.from_run(make_run(n=n))
    assert card.evaluated_on == text
    assert f"On {text}, which were not used for training" in card.to_markdown()


def test_removed_images_are_counted(make_run):
    run = make_run()
    assert Card.from_run(run).removed_images == ""
    assert "Removed on request" not in Card.from_run(run).to_markdown()
    hashes = ("weights_sha256_before", "weights_sha256_after", "images_sha256_before", "images_sha256_after")
    report = UnlearningReport(
        forgotten=tuple(f"train/{number}" for number in range(1200)),
        **dict.fromkeys(hashes, "0"),
        n_train_before=1300,
        n_train_after=100,
        n_test=30,
        accuracy_before=0.5,
        accuracy_after=0.5,
        difference=(0.0, (0.0, 0.0)),
        true_class_probability=TrueClassProbability(0.5, 0.5, 0.5, 0.5),
    )
    RunArtifacts(run).write_unlearning(report, "")
    assert "- Removed on request, by retraining from scratch: 1,200 images." in Card.from_run(run).to_markdown()


def test_metrics_are_loaded_only_if_the_run_was_evaluated(make_run):
    run = make_run()
    assert load_metrics(run) == run.metrics()
    (run.path / "metrics.json").unlink()
    assert load_metrics(run) is None


def test_the_head_of_the_report_states_the_accuracy_and_the_notes(run, dataset, page):
    head = page.split("<main>")[0]
    assert "13.3% test accuracy (n = 30) 95% confidence interval 5.3% to 29.7%" in words(head)
    assert '<p class="caveat">a note</p>' in head
    assert f"<title>early-stopping on {run.summary().dataset}</title>" in head


def test_the_setup_lists_status_details_and_recipe(page):
    setup = part(page, "setup")
    assert "finished after 2 epochs, 3,600 s of training" in words(setup)
    assert "1,234,567" in setup
    assert "[training]" in unescape(setup.split("<pre>")[1].split("</pre>")[0])


def test_each_class_is_a_row_of_the_report(dataset, page):
    results = part(page, "results")
    assert table_rows(results)[1:] == [
        [
            name,
            f"{30 + number}.0% 2.0% to 92.0%",
            f"{10 + number}.0% 1.0% to 91.0%",
            f"{50 + number}.0% 3.0% to 93.0%",
            str(number),
        ]
        for number, name in enumerate(dataset.class_names)
    ]
    assert "Intervals: a known method." in words(results)


def test_the_cells_of_the_confusion_matrix_are_the_counts(run, dataset, page):
    results = part(page, "results")
    chart = results.split('<div class="wide chart">')[1].split("</svg>")[0]
    matrix = np.array(run.metrics().confusion_matrix)
    written = re.findall(r">(\d+)</text>", chart)  # the cells, then the ticks of both color scales
    assert sorted(written[: np.count_nonzero(matrix)]) == sorted(str(count) for count in matrix[matrix > 0])
    assert all(name in chart for name in dataset.class_names)
    assert "Confusion matrix: true classes by predicted classes" in chart


def test_the_most_confident_mistakes_are_shown_with_their_captions(dataset, page):
    results = part(page, "results")
    captions = [re.findall(r"<span>(.*?)</span>", item) for item in re.findall(r"<li>(.*?)</li>", results, re.DOTALL)]
    names, labels = dataset.class_names, dataset.test.labels
    assert captions == [
        [f"true {names[labels[i]]}", f"predicted {names[(labels[i] + 1) % 10]}, {60 + i}.0%", f"test/{i}"]
        for i in range(N_WRONG - 1, N_WRONG - 25, -1)
    ]
    assert "24 of 26 mistakes are shown." in words(results)


def test_the_mistakes_on_validation_images_are_not_shown(make_run, dataset):
    results = part(render_report(make_run(split="validation"), dataset, []), "results")
    assert "<img" not in results
    assert "Most confident mistakes" not in results


def test_calibration_and_threshold_are_stated(page):
    text = words(part(page, "calibration").split("<svg")[0])
    assert text == (
        "Calibration Calibration error 4.6% (root mean square, 95% interval 1.0% to 9.0%, n = 30) at temperature 1.23. "
        "Predictions below a confidence of 67.8% are marked unsure. The classifier answers 34.5% of the images (95% "
        f"interval 20.0% to 50.0%), with an error of 6.7% (1.0% to 30.0%). {TOO_FEW}"
    )


def test_coverage_of_prediction_sets_is_stated(make_run, dataset):
    names = dataset.class_names
    sets = SetMetrics(
        coverage=0.9,
        coverage_ci95=(0.744, 0.965),
        target_coverage=0.95,
        threshold=0.2,
        n_calibration=10,
        mean_size=1.2345,
        sizes=(25, 5, *[0] * 8),
        per_class={
            name: SetCoverage(coverage=0.6 + number / 100, coverage_ci95=(0.05, 0.95))
            for number, name in enumerate(names)
        },
    )
    run = make_run(prediction_sets=sets)
    too_few = "Prediction sets contain all classes: 10 validation images are too few to leave any out; at least 19 are"
    card = Card.from_run(run).to_markdown()
    assert markdown_rows(card)[9:11] == [
        ("coverage of prediction sets (true class in the set)", "90.0% (74.4% to 96.5%)"),
        ("size of prediction sets, mean number of classes", "1.234"),
    ]
    assert too_few in card
    page = render_report(run, dataset, [])
    text = words(part(page, "calibration"))
    assert "90.0% of the prediction sets contain the true class (95% interval 74.4% to 96.5%), with 1.23 cla" in text
    assert too_few in text
    header, *rows = table_rows(part(page, "results"))
    assert header[-2:] == ["in the set", "images"]
    assert [row[-2:] for row in rows] == [[f"{60 + number}.0% 5.0% to 95.0%", str(number)] for number in range(10)]


def test_images_unlike_the_training_images_are_counted(make_run, dataset):
    unlike = OodMetrics(share=0.0667, share_ci95=(0.018, 0.213), threshold=-3.0, n_calibration=10)
    run = make_run(unlike_training=unlike)
    classifier = run.classifier().with_spec(ood_threshold=-3.0, n_calibration=200)
    metrics = run.metrics()
    run.write_classifier(classifier)
    run.write_metrics(metrics)
    run.write_predictions(np.eye(10, dtype=np.float32)[dataset.test.labels], dataset.test.labels)
    promise = "was calibrated on 200 validation images. On average, it is wrong for 5.0% of new images of the same kind"
    card = Card.from_run(run).to_markdown()
    assert ("marked as unlike the training images", "6.7% (1.8% to 21.3%)") in markdown_rows(card)
    assert promise in card
    text = words(part(render_report(run, dataset, []), "calibration"))
    assert "6.7% of these images are marked as unlike the training images (95% interval 1.8% to 21.3%)." in text
    assert promise in text


@pytest.mark.parametrize(("threshold", "abstains"), [(1.0, False), (1.01, True)])
def test_a_threshold_above_1_marks_every_image_as_unsure(make_run, dataset, threshold, abstains):
    selective = SelectiveMetrics(
        threshold=threshold,
        coverage=0.0,
        coverage_ci95=(0.0, 0.1),
        error=0.0,
        error_ci95=(0.0, 1.0),
        aurc=0.5,
        curve=((1.0, 0.8),),
    )
    text = words(part(render_report(make_run(selective=selective), dataset, []), "calibration"))
    assert (
        f"(root mean square, 95% interval 1.0% to 9.0%, n = 30) at temperature 1.23. {TOO_FEW}" in text or not abstains
    )
    assert ("Predictions below a confidence of" in text) != abstains


def test_a_table_of_the_audit_is_rendered_cell_by_cell(run, dataset):
    rows = (
        Row((Cell("<fog>"), Cell("50.0%", "40.0% to 60.0%", 0.1254), Cell("3"))),
        Row((Cell("blur"), Cell("10.0%"), Cell("4")), highlight=True),
    )
    table = Table(("corruption", "accuracy", "n"), rows, 1234, "corruptions", "a note", "by severity")
    section = ReportSection("robustness", "mean 30.0%", (table,))
    audit = part(render_report(run, dataset, [section]), "audit")
    assert table_rows(audit) == [
        ["corruption", "accuracy", "n"],
        ["<fog>", "50.0% 40.0% to 60.0%", "3"],
        ["blur", "10.0%", "4"],
    ]
    assert audit.count('style="--part:0.125"') == 1
    assert audit.count('<tr class="alarm">') == 1
    assert "<fog>" not in audit
    for text in ("2 of 1,234 corruptions are shown.", "a note", "By severity", "Robustness", "robustness mean 30.0%"):
        assert text in words(audit)


def test_a_complete_table_and_a_section_without_tables(run, dataset):
    rows = (Row((Cell("a"), Cell("b"))),)
    sections = [ReportSection("first", "one", (Table(("x", "y"), rows, 1, "rows"),)), ReportSection("second", "two")]
    audit = part(render_report(run, dataset, sections), "audit")
    assert "are shown" not in audit
    assert "<h3>First</h3>" in audit
    assert "<h3>Second</h3>" not in audit
    assert "<dt>second</dt><dd>two</dd>" in audit
    assert 'class="matrix"' not in audit


def test_listed_images_are_found_by_their_id(run, dataset):
    listed = [ListedImage("test/3", ("line",)), ListedImage("train/5"), ListedImage("train/999", ("gone",))]
    table = Table((), (Row(images=tuple(listed[:2])), Row(images=(listed[2],))), 2, "groups")
    audit = part(render_report(run, dataset, [ReportSection("near-duplicates", "1 group", (table,))]), "audit")
    assert audit.count("<img ") == 2
    assert audit.count('<li class="group">') == 1
    assert re.findall(r"<span>(.*?)</span>", audit) == ["line", "test/3", "train/5", "gone", "train/999"]


def test_a_run_without_metrics_shows_no_results(make_run, dataset):
    run = make_run()
    (run.path / "metrics.json").unlink()
    html = render_report(run, dataset, [])
    assert "Not evaluated yet. Run tinysight evaluate ." in words(html)
    assert "Metrics by class" not in html
    assert "Not measured." in part(html, "calibration")
