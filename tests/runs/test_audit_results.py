"""Audit results: means by hand, and sections that survive JSON with their type."""

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tinysight._util.errors import RunError
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import Audit, OodDetection, PairedComparison, Robustness, TrueClassProbability
from tinysight.runs.checkpoint import Checkpoint
from tinysight.runs.records import read_record, write_record
from tinysight.runs.run import Run

ROBUSTNESS = SimpleNamespace(name="robustness", result_type=Robustness)
OOD = SimpleNamespace(name="ood", result_type=OodDetection)

shares = st.floats(0, 1)
names = st.text(st.characters(exclude_categories=["Cs"]))


def test_means_are_over_severities_and_then_over_corruptions():
    result = Robustness(n=8, clean_accuracy=1.0, accuracy={"fog": (1.0, 0.5), "blur": (0.25, 0.25, 0.25, 0.25)})
    assert result.mean_by_corruption == {"fog": 0.75, "blur": 0.25}
    assert result.mean == 0.5


def test_the_mean_of_three_corruptions_is_not_weighted_by_severities():
    result = Robustness(n=8, clean_accuracy=1.0, accuracy={"fog": (0.9,), "blur": (0.3, 0.1), "noise": (0.0, 0.2)})
    assert result.mean == pytest.approx((0.9 + 0.2 + 0.1) / 3)


@settings(max_examples=30)
@given(
    n=st.integers(1, 10**6),
    clean=shares,
    accuracy=st.dictionaries(names, st.lists(shares, min_size=1).map(tuple), max_size=4),
    auroc=st.dictionaries(names, shares, max_size=3),
)
def test_results_survive_the_file(tmp_path_factory, n, clean, accuracy, auroc):
    path = tmp_path_factory.getbasetemp() / "audit.json"
    robustness, ood = Robustness(n, clean, accuracy), OodDetection(n, auroc)
    audit = Audit(weights_sha256="0" * 64).with_result(ROBUSTNESS, robustness).with_result(OOD, ood)
    write_record(audit, path)
    read = read_record(Audit, path)
    assert read.result(ROBUSTNESS) == robustness
    assert read.result(OOD) == ood


def test_a_section_that_was_not_computed_has_no_result():
    assert Audit(weights_sha256="a").result(ROBUSTNESS) is None


def test_a_new_result_replaces_only_its_own_section():
    first = (
        Audit(weights_sha256="a").with_result(ROBUSTNESS, Robustness(1, 0.5, {})).with_result(OOD, OodDetection(2, {}))
    )
    second = first.with_result(OOD, OodDetection(7, {"noise": 0.75}))
    assert second.result(OOD) == OodDetection(7, {"noise": 0.75})
    assert second.result(ROBUSTNESS) == Robustness(1, 0.5, {})
    assert second.weights_sha256 == "a"
    assert first.result(OOD) == OodDetection(2, {})


@pytest.mark.parametrize("value", [None, [], {"n": 3}, {"n": "many", "auroc": {}}, {"n": 3, "auroc": {"a": "high"}}])
def test_a_result_of_another_type_is_refused(value):
    with pytest.raises(RunError) as refusal:
        Audit(weights_sha256="a", sections={"ood": value}).result(OOD)
    assert str(refusal.value) == (
        "audit.json: section 'ood' was not written by this version of tinysight. Remove the file and audit again."
    )


def test_results_of_nested_dataclasses_are_restored():
    @dataclass(frozen=True)
    class Nested:
        pairs: tuple[PairedComparison, ...]
        probabilities: TrueClassProbability | None

    pair = PairedComparison("a", "b", 3, 4, -0.25, (-0.5, 0.25), 0.5, 1.0)
    schema = SimpleNamespace(name="nested", result_type=Nested)
    value = Nested((pair, pair), TrueClassProbability(0.1, 0.2, 0.3, 0.4))
    assert Audit(weights_sha256="a").with_result(schema, value).result(schema) == value


def test_an_audit_is_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        Audit(weights_sha256="a").weights_sha256 = "b"


@pytest.mark.parametrize(
    "result",
    [
        Robustness(1, 0.5, {}),
        OodDetection(2, {}),
        PairedComparison("a", "b", 3, 4, -0.25, (-0.5, 0.25), 0.5, 1.0),
        TrueClassProbability(0.1, 0.2, 0.3, 0.4),
        Checkpoint({}, {}),
        Run(Path("run")),
        RunArtifacts(Run(Path("run"))),
    ],
    ids=lambda result: type(result).__name__,
)
def test_results_and_handles_are_immutable(result):
    for name in list(vars(result)):
        with pytest.raises(FrozenInstanceError):
            setattr(result, name, None)
