"""HTML summary of a run for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tinysight._util.errors import RunError

if TYPE_CHECKING:
    from tinysight.runs.run import Run


def run_html(run: Run) -> str:
    """Return a table of the status, size and accuracy of a run."""
    summary = run.summary()
    facts = {
        "run": str(run.path),
        "recipe": f"{summary.recipe} on {summary.dataset}",
        "status": f"{summary.status} after {summary.epochs_text}, {summary.train_seconds:,.0f} s of training",
        "parameters": f"{summary.parameters:,}",
        "validation accuracy": "" if summary.val_accuracy is None else f"{summary.val_accuracy:.2%}",
        "accuracy": _accuracy(run),
    }
    rows = "".join(
        f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in facts.items()
        if text
    )
    notes = "".join(f"<br><em>{escape(note)}</em>" for note in summary.notes)
    return f"<table>{rows}</table>{notes}"


def _accuracy(run: Run) -> str:
    try:
        metrics = run.metrics()
        low, high = metrics["accuracy_ci95"]
    except (RunError, KeyError, ValueError):
        return "not measured; call evaluate(run)"
    images = f"{metrics['n']:,} {metrics['split']} images"
    return f"{metrics['accuracy']:.2%} of {images} (95 % interval {low:.2%} to {high:.2%})"
