"""A damaged journal is repaired if only its end is missing, and is otherwise refused with a sentence."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinysight._util.errors import RunError, StorageError
from tinysight.tuning.journal import open_journal
from tinysight.tuning.study import Study
from tinysight.tuning.trial import TrialResult

ARGUMENT = "shapes:train=100,test=30"
ACCURACIES = (0.5, 0.625, 0.75)


@pytest.fixture(scope="module")
def complete(tmp_path_factory, record):
    """The directory of a study of three finished trials; tests must not change it."""
    path = tmp_path_factory.mktemp("journal") / "study"
    study = Study.create(path, record)
    with study.join():
        for accuracy in ACCURACIES:
            task = study.next_trial()
            task.report(1, accuracy)
            task.finish(TrialResult("finished", accuracy, 2, 1.0))
    return path


def damaged_copy(complete, folder, content):
    """Return the path of a copy of a study with another journal."""
    path = Path(folder) / "study"
    shutil.copytree(complete, path)
    (path / "study.journal").write_bytes(content)
    return path


def finished_in(content):
    """Return how many trials have finished in the complete lines of a journal."""
    lines = [json.loads(line) for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
    return sum(line["op_code"] == 6 and line["state"] == 1 for line in lines)  # set state: complete


@settings(max_examples=20)
@given(data=st.data())
def test_journal_cut_at_any_byte_keeps_its_complete_lines(complete, data):
    whole = (complete / "study.journal").read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    with tempfile.TemporaryDirectory() as folder:
        study = Study.open(path := damaged_copy(complete, folder, whole[:cut]))
        finished = finished_in(whole[:cut])
        assert [trial.score for trial in study.trials() if trial.state == "finished"] == list(ACCURACIES[:finished])
        with study.join():
            study.next_trial().finish(TrialResult("finished", 0.25, 2, 1.0))
        content = (path / "study.journal").read_bytes()
        assert content.startswith(whole[: whole.rfind(b"\n", 0, cut) + 1])
        assert all(json.loads(line) for line in content.splitlines())
        accuracies = [trial.score for trial in Study.open(path).trials() if trial.state == "finished"]
        assert accuracies == [*ACCURACIES[:finished], 0.25]


def test_trial_whose_result_was_stored_in_part_is_lost_and_repeated(complete, tmp_path):
    """Its process was killed before the line that completes the trial."""
    lines = (complete / "study.journal").read_bytes().splitlines(keepends=True)
    number = next(number for number in range(len(lines)) if finished_in(b"".join(lines[:number])) == 1) - 1
    for cut in range(number - 3, number + 1):
        study = Study.open(damaged_copy(complete, tmp_path / str(cut), b"".join(lines[:cut])))
        with study.join():
            task = study.next_trial()
            assert [trial.state for trial in study.trials()] == ["lost", "running"]
            assert (study.baseline, task.values) == (None, study.space.baseline)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def check_refused_or_opened(complete, lines):
    """Open a study with these lines in its journal; the only error must be one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = damaged_copy(complete, folder, b"".join(lines))
        try:
            Study.open(path).trials()
        except RunError as error:
            assert str(error) == (  # noqa: PT017
                f"{path}/study.journal: is damaged. Restore it from a backup or tune in another directory."
            )
            return "refused"
    return "opened"


@settings(max_examples=40)
@given(data=st.data(), value=JSON)
@example(data=None, value=None)
@example(data=None, value=[])
@example(data=None, value=[0])
@example(data=None, value="text")
@example(data=None, value={})
@example(data=None, value={"op_code": "4"})
def test_line_of_other_json_is_refused_with_a_sentence(complete, data, value):
    lines = (complete / "study.journal").read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1)) if data else 3
    lines[number] = json.dumps(value).encode() + b"\n"
    assert check_refused_or_opened(complete, lines) == "refused"


@settings(max_examples=40)
@given(data=st.data(), value=JSON)
def test_line_with_a_changed_or_missing_value_never_raises_another_error(complete, data, value):
    lines = (complete / "study.journal").read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    fields = json.loads(lines[number])
    key = data.draw(st.sampled_from(sorted(fields)))
    if data.draw(st.booleans()):
        fields[key] = value
    else:
        del fields[key]
    lines[number] = json.dumps(fields).encode() + b"\n"
    check_refused_or_opened(complete, lines)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"\xff\xfe\n",
        b"{\n",
        b"[" * 100_000 + b"\n",
        b"\0" * 4096 + b"\n",
        b'{"op_code":99,"worker_id":"x"}\n',
        b'{"op_code":4,"worker_id":"x","study_id":0,"datetime_start":"yesterday"}\n',
    ],
    ids=["empty", "not UTF-8", "incomplete", "nested", "zeros", "unknown operation", "invalid date"],
)
def test_damaged_line_in_the_middle_is_refused(complete, line):
    lines = (complete / "study.journal").read_bytes().splitlines(keepends=True)
    assert check_refused_or_opened(complete, [*lines[:3], line, *lines[3:]]) == "refused"


def test_opening_a_journal_creates_it_and_writes_nothing(tmp_path):
    open_journal(tmp_path / "new.journal")
    assert (tmp_path / "new.journal").read_bytes() == b""


def test_directory_in_place_of_the_journal_is_named(tmp_path):
    (tmp_path / "study.journal").mkdir()
    with pytest.raises(StorageError, match=r"^Cannot write .*study\.journal: a folder of that name exists\. Choose"):
        open_journal(tmp_path / "study.journal")


def test_zeros_at_the_end_after_a_power_loss_are_removed(complete, tmp_path):
    whole = (complete / "study.journal").read_bytes()
    path = damaged_copy(complete, tmp_path, whole + bytes(5000))
    study = Study.open(path)
    with study.join():
        assert [trial.score for trial in study.trials()] == list(ACCURACIES)
    content = (path / "study.journal").read_bytes()
    assert content.startswith(whole)
    assert b"\0" not in content


def test_failed_write_leaves_a_usable_journal(complete, tmp_path, monkeypatch):
    """The disk is full in the middle of a line."""
    path = damaged_copy(complete, tmp_path, whole := (complete / "study.journal").read_bytes())
    study = Study.open(path)

    def full(_):
        with (path / "study.journal").open("r+b") as file:
            file.truncate(len(whole) + 7)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"), study.join():
            pass
    assert (path / "study.journal").stat().st_size == len(whole) + 7
    study = Study.open(path)
    with study.join():
        study.next_trial().finish(TrialResult("finished", 0.25, 2, 1.0))
    assert [trial.score for trial in Study.open(path).trials()] == [*ACCURACIES, 0.25]
