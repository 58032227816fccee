"""Reliability diagram and risk-coverage curve: every point against given bins."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tinysight.reporting import style
from tinysight.reporting.evaluation_plots import HOW_TO_READ, calibration_panels, plot_calibration
from tinysight.runs.records import ReliabilityBin, SelectiveMetrics

BINS = (
    ReliabilityBin(n=10, confidence=0.35, accuracy=0.5, accuracy_ci95=(0.24, 0.76)),
    ReliabilityBin(n=40, confidence=0.65, accuracy=0.6, accuracy_ci95=(0.45, 0.74)),
    ReliabilityBin(n=20, confidence=0.95, accuracy=0.9, accuracy_ci95=(0.7, 0.97)),
)
SELECTIVE = SelectiveMetrics(
    threshold=0.4,
    coverage=0.75,
    coverage_ci95=(0.6, 0.85),
    error=0.125,
    error_ci95=(0.05, 0.25),
    aurc=0.1,
    curve=((0.25, 0.0), (0.75, 0.125), (1.0, 0.2)),
)


@pytest.fixture(params=["figure", "panels"])
def axes(request):
    """The axes of both plots, in one figure or as panels."""
    if request.param == "figure":
        return plot_calibration(BINS, SELECTIVE, "title").axes
    return [figure.axes[0] for _, figure in calibration_panels(BINS, SELECTIVE)]


def test_each_bin_is_a_point_at_its_confidence_and_accuracy(axes):
    diagonal, line = axes[0].lines
    intervals, dots = axes[0].collections
    bounds = [[[x, low], [x, high]] for x, low, high in [(0.35, 0.24, 0.76), (0.65, 0.45, 0.74), (0.95, 0.7, 0.97)]]
    assert [segment.tolist() for segment in intervals.get_segments()] == bounds
    points = [[0.35, 0.5], [0.65, 0.6], [0.95, 0.9]]
    assert np.column_stack(diagonal.get_data()).tolist() == [[0, 0], [1, 1]]
    assert np.column_stack(line.get_data()).tolist() == points
    assert dots.get_offsets().tolist() == points


def test_the_area_of_a_point_grows_with_its_number_of_predictions(axes):
    _, dots = axes[0].collections
    assert dots.get_sizes().tolist() == [260 / 4 + 12, 260 + 12, 260 / 2 + 12]


def test_the_curve_and_the_threshold_are_plotted(axes):
    curve, threshold = axes[1].lines
    assert np.column_stack(curve.get_data()).tolist() == [[0.25, 0.0], [0.75, 0.125], [1.0, 0.2]]
    assert np.ravel(threshold.get_data()).tolist() == [0.75, 0.125]
    assert to_hex(threshold.get_color()) == style.VALIDATION
    assert to_hex(curve.get_color()) == style.TRAINING
    assert [text.get_text() for text in axes[1].texts][-1] == "threshold: coverage 75.0%,\nerror 12.5%"


def test_shares_are_on_axes_from_0_to_1_in_percent(axes):
    assert (axes[0].get_xlim(), axes[0].get_ylim(), axes[1].get_xlim()) == ((0, 1), (0, 1), (0, 1))
    for part in axes:
        assert part.xaxis.get_major_formatter().format_pct(0.5, 1) == "50%"
        assert part.yaxis.get_major_formatter().format_pct(0.5, 1) == "50%"
    assert [(part.get_xlabel(), part.get_ylabel()) for part in axes] == [
        ("confidence", "accuracy"),
        ("coverage (share of images not marked unsure)", "error on these images"),
    ]


@pytest.mark.parametrize(("errors", "top"), [((0.0, 0.2), 0.23), ((0.0, 0.0), 0.0115), ((0.008, 0.02), 0.023)])
def test_the_error_axis_ends_above_the_largest_error(errors, top):
    selective = SELECTIVE.model_copy(update={"curve": ((0.5, errors[0]), (1.0, errors[1]))})
    low, high = plot_calibration(BINS, selective, "title").axes[1].get_ylim()
    assert low == 0
    assert high == pytest.approx(top)


def test_the_figure_has_5_6_inches_below_its_lines_of_text(words):
    figure = plot_calibration(BINS, SELECTIVE, "a title", note="a note")
    lines = len(figure.texts)
    assert figure.get_size_inches().tolist() == pytest.approx([12, 5.6 + 0.25 + 0.29 * lines])
    assert [text.get_text() for text in figure.texts[:2]] == ["a title", "a note"]
    assert " ".join(text.get_text() for text in figure.texts[2:]) == HOW_TO_READ


def test_panels_are_described_and_have_their_size():
    panels = calibration_panels(BINS, SELECTIVE)
    assert [label for label, _ in panels] == ["Accuracy by confidence", "Error rate by coverage"]
    assert [figure.get_size_inches().tolist() for _, figure in panels] == [[5.4, 4.5], [5.4, 4.5]]
    for _, figure in panels:
        box = figure.axes[0].get_position()
        assert [box.x0 * 5.4, box.y0 * 4.5, box.width * 5.4, box.height * 4.5] == pytest.approx([0.85, 0.7, 4.3, 3.3])
