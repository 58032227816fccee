"""JSON and TOML of a run are read strictly: what tinysight did not write, it does not believe."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight.errors import RunError
from tinysight.runs import records
from tinysight.runs.records import Summary, read, read_sealed, read_sealed_text, write, write_sealed, write_sealed_text

GOOD = {"format": 3, "status": "finished", "recipe": "deep", "dataset": "shapes", "history_sha256": ""}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "summary.json"


def sealed(**changes):
    """Return the text of a summary with `changes`, and with the seal that belongs to them."""
    values = GOOD | changes
    seal = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return json.dumps(values | {"sha256": seal})


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(recipe=texts, remarks=st.lists(texts), accuracy=st.floats(0, 1), epochs=st.integers(0, 10**12))
def test_any_record_is_read_back_equal(tmp_path_factory, recipe, remarks, accuracy, epochs):
    path = tmp_path_factory.getbasetemp() / "any.json"
    summary = Summary(
        status="failed",
        recipe=recipe,
        dataset="x",
        remarks=tuple(remarks),
        val_accuracy=accuracy,
        epochs=epochs,
        history_sha256="",
    )
    write(summary, path)
    assert read(Summary, path) == summary


def test_the_file_is_plain_json_that_people_can_read(path):
    write(Summary(**GOOD, remarks=("café",)), path)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["recipe"] == "deep"
    assert '\n  "status": "finished",\n' in text
    assert "café" in text


def test_the_helper_of_these_tests_seals_as_the_code_does(path):
    path.write_text(sealed())
    assert read(Summary, path) == Summary(**GOOD)


@pytest.mark.parametrize("form", [2, 1, 0, "1", None, [1] * 99])
def test_another_format_is_refused_by_name(path, form):
    path.write_text(sealed(format=form))
    with pytest.raises(RunError, match=r"summary\.json has format .{1,40}; this tinysight reads format 3"):
        read(Summary, path)


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"status": "splendid"},
        {"recipe": None},
        {"epochs": 1.5},
        {"epochs": "x"},
        {"val_accuracy": float("nan")},
        {"train_seconds": float("inf")},
        {"remarks": "not a list"},
        {"recipe": "\ud800"},
    ],
)
def test_values_that_a_record_cannot_have_are_refused(path, changes):
    path.write_text(sealed(**changes))
    with pytest.raises(RunError, match=r"summary\.json was not written by this version of tinysight"):
        read(Summary, path)


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
        '{"format": 3}',
        '{"format": 3, "epochs": 1e999, "sha256": ""}',
        '{"format": 3, "epochs": NaN, "sha256": ""}',
        '{"format": 3, "epochs": ' + "9" * 5000 + "}",
        '{"a":' * 100_000,
        "[" * 100_000,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_anything_but_a_sealed_record_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(RunError, match=str(path)):
        read(Summary, path)


def test_no_depth_of_nesting_is_too_deep_to_be_refused(path):
    for depth in range(900, 1000):
        path.write_text('{"format": 3, "a": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(RunError, match=str(path)):
            read(Summary, path)


@given(content=st.binary(max_size=100))
def test_junk_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "junk.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=str(path)):
        read(Summary, path)


def test_a_file_far_too_large_is_not_read(path, monkeypatch):
    monkeypatch.setattr(records, "LARGEST_RECORD", 10)
    write_sealed({"a": "b" * 10}, path)
    with pytest.raises(RunError, match="far too large"):
        read_sealed(path)


def test_numbers_that_are_none_are_never_written(path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_sealed({"a": float("nan")}, path)
    assert not path.exists()


@given(text=texts)
def test_a_sealed_text_comes_back_as_it_was(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "sealed.toml"
    write_sealed_text(text, path)
    assert read_sealed_text(path) == text


def test_a_text_without_its_seal_is_refused(path):
    write_sealed_text("a = 1\n", path)
    for text in ("a = 1\n", path.read_text().replace("1\n", "2\n"), path.read_text() + "b = 1\n", ""):
        path.write_text(text)
        with pytest.raises(RunError, match="was altered after it was written"):
            read_sealed_text(path)
