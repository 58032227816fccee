"""Train small-image classifiers on a laptop, and measure how far to trust them.

    import tinysight as ts

    run = ts.train("fast", "images", minutes=2)
    ts.evaluate(run).accuracy
    ts.predict(run, ["cat.jpg"]).labels

Public names are imported on first use, so that `import tinysight` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinysight._util.errors import TinysightError
    from tinysight.api import (
        add_images,
        audit,
        card,
        compare,
        cross_validate,
        evaluate,
        explain,
        export,
        forget,
        import_keras,
        load_dataset,
        predict,
        predict_batch,
        preview,
        relabel_images,
        remove_images,
        report,
        summary,
        train,
        tune,
    )
    from tinysight.data.dataset import Dataset, Split
    from tinysight.estimator import ImageClassifier, MultiLabelPredictions, Predictions
    from tinysight.models.classifier import Classifier
    from tinysight.recipes.schema import Recipe
    from tinysight.runs.audit_results import Audit
    from tinysight.runs.records import Metrics, MultiLabelMetrics
    from tinysight.runs.run import Run

    __version__: str

_LAZY_IMPORTS = {
    "Audit": "tinysight.runs.audit_results",
    "Classifier": "tinysight.models.classifier",
    "Dataset": "tinysight.data.dataset",
    "ImageClassifier": "tinysight.estimator",
    "Metrics": "tinysight.runs.records",
    "MultiLabelMetrics": "tinysight.runs.records",
    "MultiLabelPredictions": "tinysight.estimator",
    "Predictions": "tinysight.estimator",
    "Recipe": "tinysight.recipes.schema",
    "Run": "tinysight.runs.run",
    "Split": "tinysight.data.dataset",
    "TinysightError": "tinysight._util.errors",
    "add_images": "tinysight.api",
    "audit": "tinysight.api",
    "card": "tinysight.api",
    "compare": "tinysight.api",
    "cross_validate": "tinysight.api",
    "evaluate": "tinysight.api",
    "explain": "tinysight.api",
    "export": "tinysight.api",
    "forget": "tinysight.api",
    "import_keras": "tinysight.api",
    "load_dataset": "tinysight.api",
    "predict": "tinysight.api",
    "predict_batch": "tinysight.api",
    "preview": "tinysight.api",
    "relabel_images": "tinysight.api",
    "remove_images": "tinysight.api",
    "report": "tinysight.api",
    "summary": "tinysight.api",
    "train": "tinysight.api",
    "tune": "tinysight.api",
}

__all__ = [
    "Audit",
    "Classifier",
    "Dataset",
    "ImageClassifier",
    "Metrics",
    "MultiLabelMetrics",
    "MultiLabelPredictions",
    "Predictions",
    "Recipe",
    "Run",
    "Split",
    "TinysightError",
    "__version__",
    "add_images",
    "audit",
    "card",
    "compare",
    "cross_validate",
    "evaluate",
    "explain",
    "export",
    "forget",
    "import_keras",
    "load_dataset",
    "predict",
    "predict_batch",
    "preview",
    "relabel_images",
    "remove_images",
    "report",
    "summary",
    "train",
    "tune",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("tinysight")
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module 'tinysight' has no attribute {name!r}")
    return getattr(import_module(_LAZY_IMPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
