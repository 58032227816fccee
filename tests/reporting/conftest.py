import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


@pytest.fixture
def words():
    """Return a function that collects the text of a figure."""

    def collect(figure):
        return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_text())

    return collect


@pytest.fixture
def drawn():
    """Return a function that renders a figure, uint8 (height, width, 3)."""

    def draw(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3]

    return draw


@pytest.fixture
def png():
    """Return a function that renders a figure as PNG bytes."""

    def draw(figure):
        file = io.BytesIO()
        FigureCanvasAgg(figure).print_png(file)
        return file.getvalue()

    return draw


@pytest.fixture
def history():
    """Return a function that makes a history of overfitting; the validation loss is lowest half-way."""

    def make(epochs):
        best = (epochs + 1) / 2
        return [
            {
                "epoch": epoch,
                "seconds": 2.0,
                "images_per_second": 20_000.0,
                "loss": 2 / epoch,
                "accuracy": 1 - 0.7 / epoch,
                "val_loss": 1 + ((epoch - best) / epochs) ** 2,
                "val_accuracy": 0.6 - 0.3 * abs(epoch - best) / epochs,
                "lr": 0.001,
            }
            for epoch in range(1, epochs + 1)
        ]

    return make
