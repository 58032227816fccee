import numpy as np
import pytest

from tinysight.reporting.learning_curves import learning_curve_panels, plot_learning_curves


def line(axes, name):
    """Return the epochs and values of a line by its name."""
    (match,) = (line for line in axes.lines if line.get_label() == name)
    return np.column_stack(match.get_data())


def test_loss_and_accuracy_are_plotted_for_both_splits(history):
    epochs = history(7)

    for axes, key in zip(plot_learning_curves(epochs, "title").axes, ("loss", "accuracy"), strict=True):
        assert line(axes, "training").tolist() == [[e["epoch"], e[key]] for e in epochs]
        assert line(axes, "validation").tolist() == [[e["epoch"], e[f"val_{key}"]] for e in epochs]


def test_title_note_headings_and_axis_labels_are_shown(history, words):
    figure = plot_learning_curves(history(7), "early-stopping on shapes", note="built-in shapes, not photographs")

    for expected in (
        "early-stopping on shapes",
        "built-in shapes, not photographs",
        "Training metrics are averaged during each epoch",
        "Loss (cross-entropy, nats per image)",
        "Accuracy (images classified correctly)",
    ):
        assert expected in words(figure)
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch", "epoch"]


def test_each_line_is_labeled_with_its_last_value(history, words):
    epochs = history(7)
    epochs[-1].update(loss=0.3291, val_loss=1.7249, accuracy=0.8954, val_accuracy=0.5579)

    text = words(plot_learning_curves(epochs, "title"))

    for label in ("training\n0.329", "validation\n1.72", "training\n89.5%", "validation\n55.8%"):
        assert label in text


def test_the_best_validation_epochs_are_marked(history, words):
    epochs = history(9)
    epochs[3]["val_loss"], epochs[6]["val_accuracy"] = 0.777, 0.888

    figure = plot_learning_curves(epochs, "title")

    assert "lowest validation: 0.777, epoch 4" in words(figure)
    assert "highest validation: 88.8%, epoch 7" in words(figure)
    rings = [ring for axes in figure.axes for ring in axes.lines if ring.get_markerfacecolor() == "none"]
    assert [tuple(np.ravel(ring.get_data())) for ring in rings] == [(4, 0.777), (7, 0.888)]


@pytest.mark.parametrize("name", ["training", "validation"])
def test_a_single_epoch_is_visible(history, drawn, name):
    figure = plot_learning_curves(history(1), "title")
    before = drawn(figure)

    for axes in figure.axes:
        (match,) = (line for line in axes.lines if line.get_label() == name)
        match.remove()

        assert (drawn(figure) != before).any()
        before = drawn(figure)


def test_a_hundred_epochs_have_no_markers(history):
    assert not plot_learning_curves(history(100), "title").axes[0].lines[0].get_marker()


def test_an_empty_history_can_be_drawn(drawn, words):
    figure = plot_learning_curves([], "title")

    assert drawn(figure).size
    assert words(figure).count("no epoch finished") == 2
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]


@pytest.mark.parametrize("loss", [0.0, 0.5, 2.3])
@pytest.mark.parametrize("gap", [0.0, 0.02, -0.02])
def test_labels_of_lines_with_close_ends_do_not_overlap(history, drawn, loss, gap):
    epochs = history(3)
    epochs[-1].update(loss=loss, val_loss=loss + gap, accuracy=0.9, val_accuracy=0.9 + gap)
    figure = plot_learning_curves(epochs, "title")
    drawn(figure)

    for axes in figure.axes:
        training, validation = (
            next(text for text in axes.texts if text.get_text().startswith(name)).get_window_extent()
            for name in ("training\n", "validation\n")
        )
        assert not training.overlaps(validation)
        if gap:
            assert (validation.y0 > training.y0) == (gap > 0)


def test_axes_start_at_0_and_accuracy_ends_at_1(history):
    loss, accuracy = plot_learning_curves(history(5), "title").axes

    assert loss.get_ylim()[0] == 0
    assert accuracy.get_ylim() == (0, 1)


@pytest.mark.parametrize(("epochs", "marker"), [(40, "o"), (41, "None")])
def test_points_are_marked_for_up_to_40_epochs(history, epochs, marker):
    figure = plot_learning_curves(history(epochs), "title")
    assert {str(part.get_marker() or "None") for axes in figure.axes for part in axes.lines[:2]} == {marker}


@pytest.mark.parametrize(("epochs", "margin"), [(1, 0.25), (2, 0.25), (13, 0.25), (51, 1.0)])
def test_the_epochs_have_a_margin_of_a_fiftieth(history, epochs, margin):
    for axes in plot_learning_curves(history(epochs), "title").axes:
        assert axes.get_xlim() == pytest.approx((1 - margin, epochs + margin))


def test_the_earliest_of_equal_epochs_is_the_best(history, words):
    epochs = history(5)
    for epoch in epochs:
        epoch.update(val_loss=0.5, val_accuracy=0.25)
    text = words(plot_learning_curves(epochs, "title"))
    assert "lowest validation: 0.5, epoch 1" in text
    assert "highest validation: 25.0%, epoch 1" in text


def test_panels_have_their_size_and_description(history):
    panels = learning_curve_panels(history(3))
    assert [label for label, _ in panels] == [
        "Loss (cross-entropy, nats per image) by epoch",
        "Accuracy (images classified correctly) by epoch",
    ]
    for (_, figure), key in zip(panels, ("loss", "accuracy"), strict=True):
        assert figure.get_size_inches().tolist() == [5.7, 4.35]
        box = figure.axes[0].get_position()
        sizes = [box.x0 * 5.7, box.y0 * 4.35, box.width * 5.7, box.height * 4.35]
        assert sizes == pytest.approx([0.75, 0.65, 3.75, 3.0])
        assert line(figure.axes[0], "training").tolist() == [[e["epoch"], e[key]] for e in history(3)]


def test_the_figure_has_4_95_inches_below_its_lines_of_text(history):
    figure = plot_learning_curves(history(3), "title")
    assert figure.get_size_inches().tolist() == pytest.approx([12, 4.95 + 0.25 + 0.29 * len(figure.texts)])
