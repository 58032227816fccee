"""`tinysight relabel`: correct labels of a probe in seconds."""

from __future__ import annotations

from typing import Annotated

import typer

from tinysight import api
from tinysight.cli.change import ChangedOutOption, KnownImagesArgument, print_change
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption
from tinysight.cli.progress import progress


def relabel(
    run: RunArgument,
    label: Annotated[str, typer.Argument(metavar="CLASS", help="The right class of the images.")],
    images: KnownImagesArgument,
    out: ChangedOutOption = None,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Correct the label of IMAGES of RUN, a probe, and write a new run in seconds.

    Example: tinysight relabel runs/probe-1 owl data/cat/1.jpg
    """
    changed = api.relabel_images(run, label, images, out=out, dataset=data, data_dir=data_dir, progress=progress)
    print_change(changed)
