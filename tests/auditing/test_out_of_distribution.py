"""The section on out-of-distribution images: its sample, its texts and its table."""

from tinysight._util.progress import SILENT
from tinysight.auditing import context as contexts
from tinysight.auditing.context import AuditContext
from tinysight.auditing.sections.out_of_distribution import OutOfDistribution
from tinysight.evaluation.ood import measure_ood_detection
from tinysight.runs.audit_results import OodDetection
from tinysight.runs.run import Run

RESULT = OodDetection(2000, {"noise": 0.984, "textures": 0.4526, "shapes": 0.75})


def test_the_first_test_images_are_compared(trained, monkeypatch):
    monkeypatch.setattr(contexts, "MAX_PROBED", 12)
    context = AuditContext.from_run(Run(trained))
    expected = measure_ood_detection(context.classifier, context.dataset.test.pixels[:12], "shapes")
    result = OutOfDistribution().compute(context, SILENT)
    assert result == expected
    assert (result.n, set(result.auroc)) == (12, {"noise", "textures"})


def test_the_summary_states_the_auroc_of_each_kind():
    assert OutOfDistribution().summarize(RESULT) == (
        "AUROC of detection: noise 0.98, textures 0.45, shapes 0.75 (n = 2,000 per kind; 0.50 is chance)"
    )


def test_the_table_lists_the_lowest_auroc_first():
    (table,) = OutOfDistribution().rows(RESULT, limit=2)
    assert table.columns == ("images", "AUROC")
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["textures", "0.453"], ["shapes", "0.750"]]
    assert [row.cells[1].shade for row in table.rows] == [0.4526, 0.75]
    assert (table.n_total, table.unit) == (3, "kinds of images")
    assert table.note.startswith("2,000 test images and as many out-of-distribution images of each kind.")


def test_the_table_states_the_share_that_is_marked():
    marked = OodDetection(2000, {"noise": 0.984, "shapes": 0.75}, {"noise": 0.9, "shapes": 0.1234})
    (table,) = OutOfDistribution().rows(marked, limit=2)
    assert table.columns == ("images", "AUROC", "marked as unlike the training images")
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["shapes", "0.750", "12.3%"],
        ["noise", "0.984", "90.0%"],
    ]
    assert table.note.endswith("has the higher OOD score; 0.5 is chance.")
