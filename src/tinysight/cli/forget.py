"""`tinysight forget`: train again without some images, and prove it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tinysight.cli.options import DataDirOption, RunArgument
from tinysight.screen.console import output, progress, shown


def forget(
    run: RunArgument,
    images: Annotated[list[str], typer.Argument(metavar="IDS...", help="Names such as train/17, or CSV files.")],
    out: Annotated[Path | None, typer.Option(help="The new run directory; default RUN-forgotten.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with such a training that was interrupted.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Train RUN's recipe again without some images, and write down what can be shown for it."""
    from tinysight.audit.forgetting import forget as train_without
    from tinysight.audit.forgetting import in_words
    from tinysight.data.names import read_names
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    named = [name for word in images for name in (read_names(Path(word)) if word.endswith(".csv") else (word,))]
    path = out or run.with_name(f"{run.name}-forgotten")
    summary = train_without(Run.open(run), named, path, data_dir, resume, progress)
    if summary.status == "interrupted":
        again = ["tinysight", "forget", str(run), *images, "--out", str(path), "--resume"]
        output.print(f"go on with:  {shlex.join(again)}")
        raise typer.Exit(1)
    proof = Evidence(Run(path)).forgetting()
    if proof:
        for line in in_words(proof):
            output.print(shown(line))
    output.print(f"run:  {path}")
