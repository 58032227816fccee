"""Precision, recall and F1 of every class, as the table that scikit-learn's users know."""

from __future__ import annotations

from tinysight.evaluation.metrics import Metrics, Scores


def classification_report(metrics: Metrics) -> str:
    """Return the text `sklearn.metrics.classification_report` gives with `digits=4`, made from `metrics`."""
    averages = {"macro avg": metrics["macro"], "weighted avg": metrics["weighted"]}
    width = max(len(name) for name in [*metrics["per_class"], *averages])
    accuracy = f"{metrics['accuracy']:>30.4f} {metrics['n']:>9}"
    return "\n".join(
        [
            f"{'':>{width}}  precision    recall  f1-score   support",
            "",
            *(_row(name, scores, width) for name, scores in metrics["per_class"].items()),
            "",
            f"{'accuracy':>{width}} {accuracy}",
            *(_row(name, scores, width) for name, scores in averages.items()),
            "",
        ]
    )


def _row(name: str, scores: Scores, width: int) -> str:
    shares = " ".join(f"{share:>9.4f}" for share in (scores["precision"], scores["recall"], scores["f1"]))
    return f"{name:>{width}}  {shares} {scores['support']:>9}"
