"""Records: round trips, checksums, and strict reading of JSON and TOML."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tinysight._util.errors import RunError
from tinysight.data.dataset import Provenance
from tinysight.models.classifier import ClassifierSpec
from tinysight.recipes.schema import ModelSection
from tinysight.runs import records
from tinysight.runs.records import (
    CalibrationMetrics,
    ClassScores,
    DatasetRecord,
    Environment,
    EpochRecord,
    MajorityBaseline,
    MetricIntervals,
    Metrics,
    ModelRecord,
    ReliabilityBin,
    ScoreIntervals,
    SelectiveMetrics,
    Summary,
    check_format,
    read_checked,
    read_checked_text,
    read_record,
    sha256_hex,
    write_checked,
    write_checked_text,
    write_record,
)

GOOD = {"format": 4, "status": "finished", "recipe": "deep", "dataset": "shapes", "history_sha256": ""}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "summary.json"


def summary_text(**changes):
    """Return the JSON of a summary with `changes` and a valid checksum."""
    values = GOOD | changes
    checksum = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return json.dumps(values | {"sha256": checksum})


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(recipe=texts, notes=st.lists(texts), accuracy=st.floats(0, 1), epochs=st.integers(0, 10**12))
def test_records_roundtrip(tmp_path_factory, recipe, notes, accuracy, epochs):
    path = tmp_path_factory.getbasetemp() / "any.json"
    summary = Summary(
        status="failed",
        recipe=recipe,
        dataset="x",
        notes=tuple(notes),
        val_accuracy=accuracy,
        epochs=epochs,
        history_sha256="",
    )
    write_record(summary, path)
    assert read_record(Summary, path) == summary


def test_records_are_indented_utf8_json(path):
    write_record(Summary(**GOOD, notes=("café",)), path)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["recipe"] == "deep"
    assert '\n  "status": "finished",\n' in text
    assert "café" in text


def test_helper_computes_the_same_checksum_as_the_code(path):
    path.write_text(summary_text())
    assert read_record(Summary, path) == Summary(**GOOD)


@pytest.mark.parametrize("form", [3, 2, 1, 0, "1", None, [1] * 99])
def test_read_rejects_other_formats(path, form):
    path.write_text(summary_text(format=form))
    with pytest.raises(RunError, match=r"summary\.json: has format .{1,40}\. This version of tinysight reads format 4"):
        read_record(Summary, path)


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"status": "unknown"},
        {"recipe": None},
        {"epochs": 1.5},
        {"epochs": "x"},
        {"val_accuracy": float("nan")},
        {"train_seconds": float("inf")},
        {"notes": "not a list"},
        {"recipe": "\ud800"},
    ],
)
def test_read_rejects_values_that_violate_the_schema(path, changes):
    path.write_text(summary_text(**changes))
    with pytest.raises(RunError, match=r"summary\.json: not written by this version of tinysight"):
        read_record(Summary, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        '"text"',
        "{}",
        '{"format": 4}',
        '{"format": 4, "epochs": 1e999, "sha256": ""}',
        '{"format": 4, "epochs": NaN, "sha256": ""}',
        '{"format": 4, "epochs": ' + "9" * 5000 + "}",
        '{"a":' * 100_000,
        "[" * 100_000,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_read_rejects_text_that_is_not_a_record(path, text):
    path.write_text(text)
    with pytest.raises(RunError, match=str(path)):
        read_record(Summary, path)


def test_read_rejects_deep_nesting(path):
    for depth in range(900, 1000):
        path.write_text('{"format": 4, "a": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(RunError, match=str(path)):
            read_record(Summary, path)


@given(content=st.binary(max_size=100))
def test_read_rejects_junk_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "junk.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=str(path)):
        read_record(Summary, path)


def test_read_rejects_large_files(path, monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 10)
    write_checked({"a": "b" * 10}, path)
    with pytest.raises(RunError, match="larger than 10 bytes"):
        read_checked(path)


def test_write_rejects_nan(path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_checked({"a": float("nan")}, path)
    assert not path.exists()


@given(text=texts)
def test_text_with_checksum_roundtrips(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "sealed.toml"
    write_checked_text(text, path)
    assert read_checked_text(path) == text


def test_read_rejects_text_with_wrong_checksum(path):
    write_checked_text("a = 1\n", path)
    for text in ("a = 1\n", path.read_text().replace("1\n", "2\n"), path.read_text() + "b = 1\n", ""):
        path.write_text(text)
        with pytest.raises(RunError, match="modified after it was written"):
            read_checked_text(path)


shares, counts = st.floats(0, 1), st.integers(0, 10**6)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(0, 1e6, exclude_min=True)
intervals = st.tuples(finite, finite)
scores = st.builds(ClassScores, precision=shares, recall=shares, f1=shares, support=counts)
bounds = st.builds(ScoreIntervals, precision=intervals, recall=intervals, f1=intervals)
bins = st.builds(ReliabilityBin, n=counts, confidence=shares, accuracy=shares, accuracy_ci95=intervals)
points = st.lists(st.tuples(shares, shares), max_size=3).map(tuple)
datasets = st.builds(
    DatasetRecord,
    name=texts,
    argument=texts,
    data_dir=st.none() | texts,
    fingerprint=texts,
    source=texts,
    provenance=st.builds(Provenance, texts, texts, texts),
    is_official=st.none() | st.booleans(),
    notes=st.lists(texts, max_size=2).map(tuple),
    label_type=st.sampled_from(["str", "int", "float", "bool"]),
)
environments = st.builds(
    Environment,
    versions=st.dictionaries(texts, texts, max_size=2),
    processor=texts,
    cpu_features=st.lists(texts, max_size=2).map(tuple),
    system=texts,
    threads=counts,
    workers=st.integers(1, 64),
    device=texts,
    precision=st.sampled_from(["fp32", "bf16"]),
    seed=st.integers(),
    git_commit=st.none() | texts,
    dataset=datasets,
    changes=st.lists(texts, max_size=2).map(tuple),
)
models = st.builds(
    ModelRecord,
    model=st.just(ModelSection(architecture="deep")),
    class_names=st.lists(texts, min_size=2, max_size=4).map(tuple),
    image_size=st.integers(8, 512),
    abstain_below=st.floats(0, 2),
    mean=st.tuples(finite, finite, finite),
    std=st.tuples(positive, positive, positive),
    temperature=st.floats(0.01, 100),
    bf16_margin=st.none() | st.floats(0, 1e6),
    tta_shift=st.integers(0, 7),
    weights_sha256=texts,
)
metrics_records = st.builds(
    Metrics,
    split=st.sampled_from(["test", "validation"]),
    n=st.integers(1, 10**6),
    accuracy=shares,
    accuracy_ci95=intervals,
    balanced_accuracy=shares,
    loss=finite,
    accuracy_tta=st.none() | shares,
    per_class=st.dictionaries(texts, scores, max_size=2),
    macro=scores,
    weighted=scores,
    confusion_matrix=st.lists(st.lists(counts, max_size=3).map(tuple), max_size=3).map(tuple),
    calibration=st.builds(
        CalibrationMetrics,
        ece=shares,
        rms_error=shares,
        temperature=positive,
        bins=st.lists(bins, max_size=2).map(tuple),
    ),
    selective=st.builds(
        SelectiveMetrics,
        threshold=finite,
        coverage=shares,
        coverage_ci95=intervals,
        error=shares,
        error_ci95=intervals,
        aurc=shares,
        curve=points,
    ),
    intervals=st.builds(
        MetricIntervals,
        method=texts,
        accuracy_tta=st.none() | intervals,
        balanced_accuracy=intervals,
        loss=intervals,
        calibration_error=intervals,
        macro=bounds,
        weighted=bounds,
        per_class=st.dictionaries(texts, bounds, max_size=2),
    ),
    recipe=st.none() | texts,
    dataset=st.none() | texts,
    notes=st.lists(texts, max_size=2).map(tuple),
    weights_sha256=st.none() | texts,
)


@settings(max_examples=10)
@given(record=environments | models | metrics_records)
def test_every_kind_of_record_round_trips(tmp_path_factory, record):
    path = tmp_path_factory.getbasetemp() / "record.json"
    write_record(record, path)
    assert read_record(type(record), path) == record


@given(
    record=st.builds(
        EpochRecord,
        epoch=counts,
        **dict.fromkeys(("seconds", "images_per_second", "loss", "accuracy", "val_loss", "val_accuracy", "lr"), finite),
    )
)
@settings(max_examples=30)
def test_an_epoch_is_one_line_and_round_trips(record):
    line = record.model_dump_json()
    assert "\n" not in line
    assert EpochRecord.model_validate_json(line) == record


def test_the_checksum_is_the_sha256_of_the_sorted_json(path):
    write_checked({"format": 4, "b": [1, 2.5], "a": "café"}, path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored.pop("sha256") == hashlib.sha256(b'{"a": "caf\\u00e9", "b": [1, 2.5], "format": 4}').hexdigest()
    assert stored == read_checked(path) == {"format": 4, "b": [1, 2.5], "a": "café"}
    assert path.read_text(encoding="utf-8").endswith('"\n}\n')


def test_the_order_of_keys_does_not_change_the_checksum(path):
    write_checked({"format": 4, "b": 1, "a": {"d": 1, "c": 2}}, path)
    values = json.loads(path.read_text())
    path.write_text(json.dumps({"a": {"c": 2, "d": 1}, "sha256": values["sha256"], "b": 1, "format": 4}))
    assert read_checked(path)["b"] == 1


def test_the_defaults_of_a_summary_are_those_of_a_run_that_has_not_started():
    summary = Summary(status="running", recipe="deep", dataset="shapes")
    assert summary.model_dump() == {
        "format": 4,
        "status": "running",
        "recipe": "deep",
        "dataset": "shapes",
        "task": "multi-class",
        "notes": (),
        "epochs": 0,
        "parameters": 0,
        "val_accuracy": None,
        "val_balanced_accuracy": None,
        "val_mean_average_precision": None,
        "train_images": 0,
        "val_images": 0,
        "val_majority": None,
        "train_seconds": 0.0,
        "total_seconds": 0.0,
        "error": None,
        "history_sha256": "",
    }


@pytest.mark.parametrize(
    ("epochs", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (12345, "12,345 epochs")]
)
def test_the_number_of_epochs_as_text(epochs, text):
    assert Summary(**GOOD, epochs=epochs).epochs_text == text


@pytest.mark.parametrize(
    ("support", "expected"),
    [((9, 10), ("b", 10 / 19, 0.5)), ((5, 0), ("a", 1.0, 1.0)), ((0, 3, 1, 3), ("b", 3 / 7, 1 / 3))],
)
def test_the_baseline_always_predicts_the_largest_class(support, expected):
    from sklearn.dummy import DummyClassifier
    from sklearn.metrics import recall_score

    baseline = MajorityBaseline.from_support(support, "abcd"[: len(support)])
    labels = np.repeat(np.arange(len(support)), support)
    predictions = DummyClassifier(strategy="most_frequent").fit(labels[:, None], labels).predict(labels[:, None])
    assert (baseline.name, baseline.accuracy, baseline.balanced_accuracy) == pytest.approx(expected)
    assert baseline.accuracy == pytest.approx((predictions == labels).mean())
    assert baseline.balanced_accuracy == pytest.approx(recall_score(labels, predictions, average="macro"))


def environment_of(**changes):
    dataset = {
        "name": "a",
        "argument": "a",
        "data_dir": None,
        "fingerprint": "f",
        "source": "s",
        "provenance": Provenance(),
        "is_official": None,
        "notes": (),
    }
    values = {
        "versions": {},
        "processor": "p",
        "cpu_features": (),
        "system": "s",
        "threads": 6,
        "device": "cpu",
        "precision": "fp32",
        "seed": 0,
        "git_commit": None,
        "dataset": DatasetRecord(**dataset),
    }
    return Environment(**values | changes)


def test_cores_are_the_threads_of_all_workers():
    assert environment_of().cores == 6
    assert environment_of(workers=3).cores == 18
    assert environment_of().dataset.label_type == "str"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: environment_of(workers=0), "workers"),
        (lambda: environment_of(precision="fp16"), "precision"),
        (lambda: Summary(**GOOD, val_images=-1), "val_images"),
        (lambda: Summary(**GOOD, train_seconds=float("inf")), "train_seconds"),
        (lambda: CalibrationMetrics(ece=0.1, rms_error=0, temperature=0.0, bins=()), "temperature"),
        (lambda: CalibrationMetrics(ece=0.1, rms_error=0, temperature=float("inf"), bins=()), "temperature"),
        (lambda: CalibrationMetrics(ece=float("nan"), rms_error=0, temperature=1, bins=()), "ece"),
        (lambda: ReliabilityBin(n=1, confidence=float("nan"), accuracy=1, accuracy_ci95=(0, 1)), "confidence"),
        (lambda: ClassScores(precision=1, recall=1, f1=1, support=1.5), "support"),
        (lambda: ScoreIntervals(precision=(0, 1), recall=(0, float("inf")), f1=(0, 1)), "recall"),
    ],
)
def test_values_outside_their_range_name_the_field(make, field):
    with pytest.raises(ValidationError) as refusal:
        make()
    assert refusal.value.errors()[0]["loc"][0] == field


def test_a_small_temperature_and_a_single_worker_are_accepted():
    assert CalibrationMetrics(ece=0, rms_error=0, temperature=1e-9, bins=()).temperature == 1e-9
    assert environment_of(workers=1).workers == 1


def test_records_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Summary(**GOOD).epochs = 3


@pytest.mark.parametrize(
    ("label_type", "names", "expected"),
    [
        ("int", ["-1", "07", "12"], np.array([-1, 7, 12])),
        ("float", ["0.5", "1e3"], np.array([0.5, 1000.0])),
        ("bool", ["False", "True"], np.array([False, True])),
        ("str", ["1", "True"], np.array(["1", "True"])),
    ],
)
def test_labels_are_parsed_to_the_type_that_was_trained_on(label_type, names, expected):
    record = environment_of().dataset.model_copy(update={"label_type": label_type})
    parsed = record.parse_labels(names)
    assert parsed.dtype.kind == expected.dtype.kind
    assert parsed.tolist() == expected.tolist()


def test_the_spec_of_a_model_record_is_the_classifier_without_the_checksum():
    spec = ClassifierSpec(
        model=ModelSection(architecture="deep"), class_names=("a", "b"), image_size=32, tta_shift=2, bf16_margin=0.5
    )
    assert ModelRecord(**dict(spec), weights_sha256="f").spec == spec


def test_files_above_50_million_bytes_are_refused(path):
    with path.open("wb") as file:
        file.truncate(50_000_001)  # sparse
    with pytest.raises(RunError) as refusal:
        read_checked(path)
    assert str(refusal.value) == f"{path}: larger than 50,000,000 bytes. It was not written by tinysight."


def test_a_record_of_exactly_the_limit_is_read(path, monkeypatch):
    write_checked({"format": 4}, path)
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", path.stat().st_size)
    assert read_checked(path) == {"format": 4}


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(RunError) as refusal:
        read_checked(path)
    assert str(refusal.value) == f"{path}: not a JSON object. Restore it from a copy or train again."


def test_a_missing_record_names_the_incomplete_directory(path):
    for read in (read_checked, read_checked_text):
        with pytest.raises(RunError) as refusal:
            read(path)
        assert str(refusal.value) == f"{path}: missing. {path.parent} is not a complete run directory."


def test_a_folder_in_place_of_a_record_cannot_be_read(path):
    path.mkdir()
    with pytest.raises(RunError) as refusal:
        read_checked(path)
    assert str(refusal.value) == f"{path}: cannot be read (Is a directory). Check its permissions."
    with pytest.raises(RunError) as refusal:
        read_checked_text(path)
    assert str(refusal.value) == f"{path}: cannot be read. Restore it from a copy or train again."


def test_a_changed_value_is_refused_with_a_fix(path):
    path.write_text(summary_text().replace("deep", "deer"))
    with pytest.raises(RunError) as refusal:
        read_record(Summary, path)
    assert str(refusal.value) == f"{path}: modified after it was written. Restore it from a copy or train again."


def test_an_invalid_value_is_refused_with_its_field(path):
    path.write_text(summary_text(notes=["a", 3]))
    with pytest.raises(RunError) as refusal:
        read_record(Summary, path)
    assert str(refusal.value) == (
        f"{path}: not written by this version of tinysight (notes.1: Input should be a valid string)."
    )


def test_only_format_4_is_accepted(path):
    check_format(4, path)
    for other in (3, 5, "4", None, [4]):
        with pytest.raises(RunError, match="reads format 4"):
            check_format(other, path)


def test_text_is_written_below_its_checksum(path):
    write_checked_text("a = 1\nb = 2\n", path)
    digest = hashlib.sha256(b"a = 1\nb = 2\n").hexdigest()
    assert path.read_text() == f"# format 4, sha256 of the lines below: {digest}\na = 1\nb = 2\n"
    assert sha256_hex("a = 1\nb = 2\n") == digest


@pytest.mark.parametrize("number", [0, 3, 5, 12, 999_999_999])
def test_text_of_another_format_names_the_format(path, number):
    path.write_text(f"# format {number}, sha256 of the lines below: 0\na = 1\n")
    with pytest.raises(RunError) as refusal:
        read_checked_text(path)
    assert str(refusal.value) == (
        f"{path}: has format {number}. This version of tinysight reads format 4. Use the version that wrote it, or "
        "train again."
    )


def test_text_that_is_not_utf8_cannot_be_read(path):
    path.write_bytes(b"\xff\n")
    with pytest.raises(RunError) as refusal:
        read_checked_text(path)
    assert str(refusal.value) == f"{path}: cannot be read. Restore it from a copy or train again."
