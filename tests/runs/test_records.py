"""Records: round trips, checksums, and strict reading of JSON and TOML."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight._util.errors import RunError
from tinysight.runs import records
from tinysight.runs.records import (
    Summary,
    read_checked,
    read_checked_text,
    read_record,
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
