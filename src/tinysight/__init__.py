"""Train small-image classifiers on a laptop, and measure how far to trust them.

    from tinysight import ImageClassifier

    classifier = ImageClassifier(minutes=2).fit(images, labels)
    classifier.predict(["cat.jpg"])

Public names are imported on first use, so that `import tinysight` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinysight._util.errors import TinysightError
    from tinysight.data.load import load as load_dataset
    from tinysight.estimator import ImageClassifier
    from tinysight.evaluation.evaluate import evaluate
    from tinysight.reporting.run_report import report
    from tinysight.runs.run import Run

__all__ = ["ImageClassifier", "Run", "TinysightError", "evaluate", "load_dataset", "report"]

_LAZY_IMPORTS = {
    "ImageClassifier": ("tinysight.estimator", "ImageClassifier"),
    "Run": ("tinysight.runs.run", "Run"),
    "TinysightError": ("tinysight._util.errors", "TinysightError"),
    "evaluate": ("tinysight.evaluation.evaluate", "evaluate"),
    "load_dataset": ("tinysight.data.load", "load"),
    "report": ("tinysight.reporting.run_report", "report"),
}


def __getattr__(name: str) -> object:
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module 'tinysight' has no attribute {name!r}")
    module, attribute = _LAZY_IMPORTS[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
