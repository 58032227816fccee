"""Artifacts of a run: audit, shadow models, unlearning, card and report are read back as written."""

import json
import re

import numpy as np
import pytest
import torch

from tinysight._util.errors import RunError
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import Audit, TrueClassProbability, UnlearningReport
from tinysight.runs.records import sha256_hex
from tinysight.runs.weights import write_tensors


@pytest.fixture
def artifacts(run):
    return RunArtifacts(run)


@pytest.fixture
def unlearning():
    return UnlearningReport(
        forgotten=("train/3", "train/17"),
        weights_sha256_before="a" * 64,
        weights_sha256_after="b" * 64,
        images_sha256_before="c" * 64,
        images_sha256_after="d" * 64,
        n_train_before=100,
        n_train_after=98,
        n_test=30,
        accuracy_before=0.75,
        accuracy_after=0.5,
        difference=(-0.25, (-0.5, 0.125)),
        true_class_probability=TrueClassProbability(0.875, 0.25, 0.5, 0.375),
    )


def test_a_run_without_artifacts_has_none(artifacts):
    assert artifacts.audit() is None
    assert artifacts.unlearning() is None
    assert list(artifacts.shadow_models()) == []


def test_the_audit_of_the_current_weights_is_returned(artifacts, run):
    audit = Audit(weights_sha256=run.weights_checksum(), sections={"robustness": {"n": 3, "names": ["fog", None]}})
    artifacts.write_audit(audit)
    assert artifacts.audit() == audit
    assert json.loads((run.path / "audit.json").read_text())["sections"]["robustness"]["n"] == 3


def test_the_audit_of_other_weights_is_ignored(artifacts):
    artifacts.write_audit(Audit(weights_sha256="0" * 64))
    assert artifacts.audit() is None


def test_an_edited_audit_is_refused_by_name(artifacts, run):
    artifacts.write_audit(Audit(weights_sha256=run.weights_checksum(), sections={"a": 1}))
    path = run.path / "audit.json"
    path.write_text(path.read_text().replace('"a": 1', '"a": 2'))
    with pytest.raises(RunError, match=re.escape(f"{path}: modified after it was written.")):
        artifacts.audit()


def test_shadow_models_are_returned_in_order_up_to_the_first_gap(artifacts, run):
    random = np.random.default_rng(0)
    written = [(random.random(5) < 0.5, random.normal(size=(5, 2)).astype(np.float32)) for _ in range(4)]
    for number in (3, 1, 0):
        artifacts.write_shadow_model(number, *written[number])
    assert sorted(path.name for path in (run.path / "shadow_models").iterdir()) == [
        "0.safetensors",
        "1.safetensors",
        "3.safetensors",
    ]
    assert len(list(artifacts.shadow_models())) == 2

    artifacts.write_shadow_model(2, *written[2])
    read = list(artifacts.shadow_models())

    assert len(read) == 4
    for (mask, logits), (written_mask, written_logits) in zip(read, written, strict=True):
        assert (mask.dtype, logits.dtype) == (np.bool_, np.float32)
        np.testing.assert_array_equal(mask, written_mask)
        np.testing.assert_array_equal(logits, written_logits)


@pytest.mark.parametrize("names", [("logits",), ("in_mask",), ("in_mask", "logits", "extra")])
def test_other_tensors_are_not_a_shadow_model(artifacts, run, names):
    path = run.path / "shadow_models" / "0.safetensors"
    write_tensors({name: torch.zeros(2) for name in names}, {}, path)
    with pytest.raises(RunError) as refusal:
        list(artifacts.shadow_models())
    assert str(refusal.value) == f"{path}: not a shadow model. Remove the file and audit again."


def test_a_truncated_shadow_model_is_refused_by_name(artifacts, run):
    artifacts.write_shadow_model(0, np.ones(3, bool), np.zeros((3, 2), np.float32))
    path = run.path / "shadow_models" / "0.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match=re.escape(f"{path}: damaged or not written by tinysight")):
        list(artifacts.shadow_models())


def test_unlearning_is_written_as_json_and_as_text(artifacts, run, unlearning):
    artifacts.write_unlearning(unlearning, "2 images removed")
    assert artifacts.unlearning() == unlearning
    assert (run.path / "unlearning.txt").read_text() == "2 images removed\n"
    stored = json.loads((run.path / "unlearning.json").read_text())
    assert stored["forgotten"] == ["train/3", "train/17"]
    assert stored["difference"] == [-0.25, [-0.5, 0.125]]
    assert stored["true_class_probability"] == {
        "forgotten_before": 0.875,
        "forgotten_after": 0.25,
        "unseen_before": 0.5,
        "unseen_after": 0.375,
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n_test": 1.5}, "n_test"),
        ({"forgotten": [3]}, "forgotten.0"),
        ({"difference": [0.1, [0.2]]}, "difference.1.1"),
        ({"true_class_probability": {"forgotten_before": 0.1}}, "true_class_probability.forgotten_after"),
        ({"reason": "asked"}, "reason"),
    ],
)
def test_an_unlearning_record_that_violates_the_schema_names_the_field(artifacts, run, unlearning, changes, field):
    values = unlearning.model_dump(mode="json") | changes
    checksum = sha256_hex(json.dumps(values, sort_keys=True))
    path = run.path / "unlearning.json"
    path.write_text(json.dumps(values | {"sha256": checksum}))
    with pytest.raises(RunError, match=re.escape(f"{path}: not written by this version of tinysight ({field}: ")):
        artifacts.unlearning()


def test_card_and_report_are_replaced_and_their_paths_returned(artifacts, run):
    for text in ("first", "café"):
        assert artifacts.write_card(f"card {text}") == run.path / "card.md"
        assert artifacts.write_report(f"report {text}") == run.path / "report.html"
        assert (run.path / "card.md").read_bytes().decode() == f"card {text}"
        assert (run.path / "report.html").read_bytes().decode() == f"report {text}"
    assert not list(run.path.glob(".*.part"))


def test_label_issues_are_a_csv_file_in_the_run(artifacts, run):
    assert artifacts.label_issues_path == run.path / "label_issues.csv"
