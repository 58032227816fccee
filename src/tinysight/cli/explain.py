"""`tinysight explain`: occlusion maps and nearest training images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight._util.console import print_error, progress, stdout_console
from tinysight._util.errors import InputError
from tinysight.cli.options import DataDirOption, RunArgument


def explain(
    run: RunArgument,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files, globs or folders.")] = [],  # noqa: B006
    test_index: Annotated[list[int], typer.Option(help="Also explain this test image; repeatable.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Image file to write; default: RUN/plots/explanation.png.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Plot an occlusion map and the nearest training images for each IMAGE."""
    if not images and not test_index:
        raise InputError("explain: no images were given. Pass files, globs or folders, or --test-index.")

    from tinysight.explanation.explain import Explainer
    from tinysight.reporting.explanation_plot import plot_explanations
    from tinysight.reporting.style import save
    from tinysight.runs.run import Run

    opened = Run.open(run)
    explainer = Explainer(opened, data_dir=data_dir, progress=progress)
    explained, failures = explainer.explain_images(images)
    explained += explainer.explain_test_images(test_index)
    for failure in failures:
        print_error(failure)
    if explained:
        summary = opened.summary()
        path = out or opened.plot_path("explanation")
        title = f"Predictions of {summary.recipe}, trained on {summary.dataset}, explained"
        save(plot_explanations(explained, title, " ".join(summary.notes)), path)
        stdout_console.print(f"file: {path}")
    if failures:
        raise typer.Exit(2)
