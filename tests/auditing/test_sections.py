"""Every audit section passes the conformance checks, and the registry lists them all."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tinysight._util.progress import SILENT
from tinysight.auditing import context as contexts
from tinysight.auditing import sections
from tinysight.auditing.context import AuditContext
from tinysight.auditing.registry import SECTIONS, report_sections
from tinysight.auditing.sections.corruption_robustness import CorruptionRobustness
from tinysight.auditing.shadow_models import ShadowModel, ShadowModels, training_half
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import Audit, Robustness
from tinysight.runs.run import Run

LIMIT = 3


def check_section(section, context):
    """Check a section on a context that has what it requires."""
    result = section.compute(context, SILENT)
    check_attributes(section)
    check_result(section, context, result)
    check_summary(section.summarize(result))
    check_rows(section, context, result)


def check_attributes(section):
    assert re.fullmatch(r"[a-z_]+", section.name)
    assert section.heading == section.heading.strip().lower()
    assert section.requires in ("dataset", "groups_file", "shadow_models")


def check_result(section, context, result):
    """The result is reproducible, survives JSON, and is written without changing other files of the run."""
    assert section.compute(context, SILENT) == result
    audit = Audit(weights_sha256="").with_result(section, result)
    json.dumps(audit.model_dump(mode="json"), allow_nan=False)
    assert audit.result(section) == result
    weights = context.run.weights_checksum()
    section.write_files(result, context.run)
    RunArtifacts(context.run).write_audit(Audit(weights_sha256=weights).with_result(section, result))
    assert RunArtifacts(context.run).audit().result(section) == result
    assert context.run.weights_checksum() == weights


def check_summary(summary):
    """The summary is a short line that states the number of images."""
    assert summary
    assert "\n" not in summary
    assert len(summary) <= 200
    assert not summary.endswith(".")
    assert re.search(r"\d", summary)


def check_rows(section, context, result):
    """Tables respect the limit, count all rows, and name images of the dataset."""
    for short, full in zip(section.rows(result, LIMIT), section.rows(result, 10**6), strict=True):
        assert len(short.rows) == min(LIMIT, len(full.rows))
        assert short.rows == full.rows[: len(short.rows)]
        assert short.n_total == full.n_total == len(full.rows)
        assert short.unit
        assert all(len(row.cells) == len(full.columns) for row in full.rows)
        assert all(bool(row.images) != bool(row.cells) for row in full.rows)
        assert {listed.image for row in full.rows for listed in row.images} <= set(context.names)
        assert all(0 <= cell.shade <= 1 for row in full.rows for cell in row.cells if cell.shade is not None)


@pytest.fixture(scope="module")
def context(trained, tmp_path_factory):
    """A context with a groups file and simulated shadow models, of which 5% of the predictions are wrong."""
    folder = tmp_path_factory.mktemp("sections")
    context = AuditContext.from_run(Run(shutil.copytree(trained, folder / "run")))
    context.groups_file = folder / "groups.csv"
    context.groups_file.write_text("image,half\n" + "".join(f"test/{i},{'ab'[i % 2]}\n" for i in range(30)))
    random, labels = np.random.default_rng(0), context.pool.labels
    n = len(labels)
    models = []
    for number in range(4):
        classes = np.where(random.random(n) < 0.05, random.integers(0, 10, n), labels)
        logits = random.normal(0, 1, (n, 10)).astype(np.float32)
        logits[np.arange(n), classes] += 4
        models.append(ShadowModel(training_half(n, number, seed=0), logits))
    context.shadow_models = ShadowModels.stack(models, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contexts, "MAX_PROBED", 10)
        yield context


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_the_section_conforms(section, context):
    check_section(section, context)


def test_the_registry_finds_every_file():
    files = {path.stem for path in Path(sections.__file__).parent.glob("*.py")} - {"__init__"}
    assert {type(section).__module__.rpartition(".")[2] for section in SECTIONS} == files


def test_sections_are_listed_in_the_order_of_the_report():
    assert [section.order for section in SECTIONS] == sorted(section.order for section in SECTIONS)
    assert [section.heading for section in SECTIONS][:7] == [
        "corruption robustness",
        "out-of-distribution",
        "near-duplicates",
        "subgroups",
        "groups",
        "label errors",
        "membership inference",
    ]


def test_names_and_positions_are_unique():
    for attribute in ("name", "heading", "order", "cost"):
        values = [getattr(section, attribute) for section in SECTIONS]
        assert len(set(values)) == len(values)


def test_a_run_without_an_audit_has_sections_that_read_not_measured(trained):
    reported = report_sections(Run(trained))
    assert {section.summary for section in reported} == {"not measured"}
    assert not any(section.tables for section in reported)


def test_a_partial_audit_states_what_is_missing(finished_run):
    run = Run(finished_run)
    result = Robustness(20, 0.8, {"fog": (0.5, 0.4, 0.3, 0.2, 0.1), "noise": (0.9,) * 5})
    audit = Audit(weights_sha256=run.weights_checksum()).with_result(CorruptionRobustness(), result)
    RunArtifacts(run).write_audit(audit)
    reported = {section.heading: section for section in report_sections(run)}
    assert reported["corruption robustness"].summary == (
        "mean accuracy 60.0% corrupted vs 80.0% clean (n = 20); worst: fog, 30.0%"
    )
    assert reported["groups"].summary == "not measured: no groups file was given"
    assert reported["groups"].missing == "groups_file"
    assert reported["label errors"].summary == "not measured: no time for shadow models"


@pytest.mark.parametrize("summary", ["", "two\nlines, n = 1", "n = 1.", "no number", "n = 1 " * 50])
def test_the_conformance_checks_can_fail(summary):
    with pytest.raises(AssertionError):
        check_summary(summary)
