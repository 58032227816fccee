"""HTML summary of a run for notebooks."""

from __future__ import annotations

from html import escape
from pathlib import Path

from tinysight.runs.records import Metrics, Summary


def run_html(path: Path, summary: Summary, metrics: Metrics | None) -> str:
    """Return a table of the status, size and accuracy of a run; `metrics` is None if it was not evaluated."""
    facts = {
        "run": str(path),
        "recipe": f"{summary.recipe} on {summary.dataset}",
        "status": f"{summary.status} after {summary.epochs_text}, {summary.train_seconds:,.0f} s of training",
        "parameters": f"{summary.parameters:,}",
        "validation accuracy": "" if summary.val_accuracy is None else f"{summary.val_accuracy:.2%}",
        "accuracy": "not measured; call evaluate(run)" if metrics is None else _accuracy(metrics),
    }
    rows = "".join(
        f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in facts.items()
        if text
    )
    notes = "".join(f"<br><em>{escape(note)}</em>" for note in summary.notes)
    return f"<table>{rows}</table>{notes}"


def _accuracy(metrics: Metrics) -> str:
    low, high = metrics.accuracy_ci95
    images = f"{metrics.n:,} {metrics.split} images"
    return f"{metrics.accuracy:.2%} of {images} (95 % interval {low:.2%} to {high:.2%})"
