"""`tinysight explain`: occlusion maps and nearest training images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import print_error, stdout_console
from tinysight._util.errors import InputError
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption
from tinysight.cli.output import command, print_next
from tinysight.cli.progress import progress


def explain(
    run: RunArgument,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files, globs or folders.")] = [],  # noqa: B006
    test_index: Annotated[
        list[int], typer.Option(help="Also explain the test image with this index; repeatable.")
    ] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Image file to write; default: RUN/plots/explanation.png.")] = None,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Plot an occlusion map and the nearest training images for each IMAGE.

    Example: tinysight explain runs/fast-1 cat.jpg
    """
    if not images and not test_index:
        raise InputError("explain: no images were given. Pass files, globs or folders, or --test-index.")
    failures: list[str] = []
    explanations = api.explain(
        run,
        images,
        test_indices=test_index,
        out=out,
        on_error=failures.append,
        dataset=data,
        data_dir=data_dir,
        progress=progress,
    )
    for failure in failures:
        print_error(failure)
    if explanations:
        stdout_console.print(f"file: {out or api.open_run(run).plot_path('explanation')}")
    if failures:
        raise typer.Exit(2)
    print_next(command("audit", run))
