"""Classification report as text, in the format of scikit-learn."""

from __future__ import annotations

from tinysight.evaluation.metrics import Metrics, Scores


def classification_report(metrics: Metrics) -> str:
    """Return the text of `sklearn.metrics.classification_report` with `digits=4`."""
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
    values = " ".join(f"{value:>9.4f}" for value in (scores["precision"], scores["recall"], scores["f1"]))
    return f"{name:>{width}}  {values} {scores['support']:>9}"
