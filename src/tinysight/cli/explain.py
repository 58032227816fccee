"""`tinysight explain`: why a run says what it says of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, RunArgument
from tinysight.errors import InputError
from tinysight.screen.console import complain, output, progress


def explain(
    run: RunArgument,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, globs or folders.")] = [],  # noqa: B006
    test_index: Annotated[list[int], typer.Option(help="Also explain this image of the test set.")] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="The picture to write; default RUN/plots/explanation.png.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Draw where in each IMAGE the answer was found, and what alike was learned from."""
    if not images and not test_index:
        raise InputError("Nothing to explain: name files, globs or folders, or give --test-index.")

    from tinysight.explanation.explain import Explainer
    from tinysight.reporting.explanation import explanations
    from tinysight.reporting.style import save
    from tinysight.runs.run import Run

    opened = Run.open(run)
    explainer = Explainer(opened, data_dir, progress)
    explained, failures = explainer.pictures(images)
    explained += explainer.test_images(test_index)
    for failure in failures:
        complain(failure)
    if explained:
        summary = opened.summary()
        path = out or opened.plot_path("explanation")
        title = f"Why {summary.recipe}, trained on {summary.dataset}, says what it says"
        save(explanations(explained, title, " ".join(summary.remarks)), path)
        output.print(f"picture: {path}")
    if failures:
        raise typer.Exit(2)
