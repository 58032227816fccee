"""An audit as a whole: every section, kept as it goes, and gone on with."""

import json

import numpy as np
import pytest

from tinysight.audit import audit as module
from tinysight.audit import sections
from tinysight.audit.audit import audit
from tinysight.data.names import read_rows
from tinysight.errors import DataError, RunError
from tinysight.runs.evidence import Evidence
from tinysight.runs.run import Run


@pytest.fixture(scope="module", autouse=True)
def _few_images():
    """Corrupt a few images only: these are networks that know next to nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "CORRUPTED", 10)
        yield


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


@pytest.fixture(scope="module")
def audited(trained, tmp_path_factory):
    import shutil

    run = Run(shutil.copytree(trained, tmp_path_factory.mktemp("audited") / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHADOWS", 2)
        return run, audit(run)


def test_every_section_that_needs_nothing_more_is_filled(audited):
    run, found = audited
    assert found == Evidence(run).audit()
    assert found.groups is None
    for section in ("robustness", "strangers", "duplicates", "gaps", "labels", "membership"):
        assert getattr(found, section) is not None


def test_members_are_those_that_were_learned_from(audited):
    _, found = audited
    assert (found.membership.members, found.membership.others) == (90, 40)  # of 100 and 30, ten held back
    assert found.membership.shadows == 2
    assert all(name.startswith("train/") for name in found.membership.exposed)


def test_what_was_found_is_plain_json(audited):
    run, _ = audited
    values = json.loads((run.path / "audit.json").read_text())
    assert values["robustness"]["n"] == 10
    assert set(values["membership"]["attacks"]) == {"loss", "loss by class", "LiRA"}


def test_labels_that_are_likely_to_be_wrong_are_also_a_list_to_act_on(audited):
    run, found = audited
    rows = read_rows(run.path / "labels.csv")
    assert [(row["image"], row["label"], row["likelier"]) for row in rows] == [
        (one.image, one.label, one.likelier) for one in found.labels.suspects
    ]


def test_what_is_there_is_not_looked_for_again(audited, monkeypatch):
    run, found = audited
    monkeypatch.setattr(sections, "SECTIONS", dict.fromkeys(sections.SECTIONS))
    monkeypatch.setattr(module, "train_shadow", None)
    assert audit(run, minutes=0) == found


def test_shadows_are_added_as_long_as_there_is_time(run, monkeypatch):
    monkeypatch.setattr(sections, "SECTIONS", {})
    clock = iter(np.arange(0, 10_000, 10.0))  # every look at the clock takes ten seconds
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(module, "train_shadow", lambda *given: module.Shadow(*fake(given)))

    def fake(given):
        pool, number = given[2], given[3]
        return np.arange(len(pool)) % 2 == number % 2, np.zeros((len(pool), 10), np.float32)

    found = audit(run, minutes=3)
    assert found.membership.shadows % 2 == 0
    assert 2 <= found.membership.shadows <= 8
    assert len(list(Evidence(run).shadows())) == found.membership.shadows


def test_no_time_for_shadows_leaves_their_sections_open(run, monkeypatch):
    monkeypatch.setattr(sections, "SECTIONS", {})
    found = audit(run, minutes=0)
    assert (found.labels, found.membership) == (None, None)


def test_an_audit_of_other_weights_does_not_count(audited, tmp_path):
    import shutil

    run = Run(shutil.copytree(audited[0].path, tmp_path / "run"))
    run.write_classifier(run.classifier())
    assert Evidence(run).audit() is None
    assert list(Evidence(run).shadows()) == []


def test_altered_evidence_is_refused(audited, tmp_path):
    import shutil

    run = Run(shutil.copytree(audited[0].path, tmp_path / "run"))
    path = run.path / "audit.json"
    path.write_text(path.read_text().replace('"alarm": false', '"alarm": true', 1))
    with pytest.raises(RunError, match=r"audit\.json: modified after it was written"):
        Evidence(run).audit()


def groups_file(tmp_path, text):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    return path


def test_groups_of_ones_own_are_held_against_each_other(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sections, "SECTIONS", {})
    rows = "".join(f"test/{index},{'old' if index % 3 else 'new'}\n" for index in range(30))
    found = audit(run, minutes=0, groups=groups_file(tmp_path, "image,camera\n" + rows))
    assert {gap.group for gap in found.groups} == {"old", "new"}
    assert {gap.column for gap in found.groups} == {"camera"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,camera\ntrain/1,old\n", "does not have: train/1"),
        ("image\ntest/1\n", "has no column of groups beside 'image'"),
        ("camera\nold\n", "is no list of images"),
    ],
)
def test_groups_that_are_none_are_refused_before_anything_else(run, tmp_path, text, said, monkeypatch):
    monkeypatch.setattr(sections, "SECTIONS", {"robustness": None})
    with pytest.raises(DataError, match=said):
        audit(run, minutes=0, groups=groups_file(tmp_path, text))
