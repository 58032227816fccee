"""The section on corrupted images: its sample, its texts and its table."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight._util.progress import SILENT
from tinysight.auditing import context as contexts
from tinysight.auditing.context import AuditContext
from tinysight.auditing.sections.corruption_robustness import CorruptionRobustness
from tinysight.data.dataset import Split
from tinysight.evaluation.robustness import measure_robustness
from tinysight.runs.audit_results import Robustness
from tinysight.runs.run import Run

ACCURACY = {"fog": (0.5, 0.4, 0.3, 0.2, 0.1), "snow": (0.9, 0.8, 0.7, 0.6, 0.5), "frost": (0.2,) * 5}
RESULT = Robustness(1200, 0.875, ACCURACY)


def test_a_random_sample_of_the_test_images_is_corrupted(trained, monkeypatch):
    monkeypatch.setattr(contexts, "MAX_PROBED", 5)
    context = AuditContext.from_run(Run(trained))
    sample, test = np.random.default_rng(0).permutation(30)[:5], context.dataset.test
    expected = measure_robustness(context.classifier, Split(test.pixels[sample], test.labels[sample]))
    assert CorruptionRobustness().compute(context, SILENT) == expected


def test_at_most_2000_images_are_corrupted(trained):
    context = AuditContext.from_run(Run(trained))
    assert context.n_probed == 30
    test = context.dataset.test
    many = Split(np.repeat(test.pixels, 70, axis=0), np.repeat(test.labels, 70))
    assert replace(context, dataset=replace(context.dataset, test=many)).n_probed == 2000


def test_the_summary_states_the_means_and_the_worst_corruption():
    assert CorruptionRobustness().summarize(RESULT) == (
        "mean accuracy 40.0% corrupted vs 87.5% clean (n = 1,200); worst: frost, 20.0%"
    )


def test_the_table_has_a_column_per_severity_and_the_worst_corruption_first():
    (table,) = CorruptionRobustness().rows(RESULT, limit=2)
    severities = tuple(f"severity {number}" for number in range(1, 6))
    assert table.columns == ("corruption", *severities, "mean")
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["frost", *["20.0%"] * 6],
        ["fog", "50.0%", "40.0%", "30.0%", "20.0%", "10.0%", "30.0%"],
    ]
    assert [cell.shade for cell in table.rows[1].cells] == [None, 0.5, 0.4, 0.3, 0.2, 0.1, None]
    assert (table.n_total, table.unit) == (3, "corruptions")
    assert table.note == "Accuracy on 1,200 test images; clean accuracy on the same images: 87.5%."


def test_the_means_are_over_severities_and_corruptions():
    assert RESULT.mean_by_corruption == pytest.approx({"fog": 0.3, "snow": 0.7, "frost": 0.2})
    assert RESULT.mean == pytest.approx(0.4)
