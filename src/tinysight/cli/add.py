"""`tinysight add`: add images to a probe in seconds."""

from __future__ import annotations

from typing import Annotated

import typer

from tinysight import api
from tinysight.cli.change import ChangedOutOption, print_change
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption, SkipUnreadableOption
from tinysight.cli.progress import progress


def add(
    run: RunArgument,
    label: Annotated[str, typer.Argument(metavar="CLASS", help="Class of the images; it may be new.")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGES...", help="Image files, globs or folders.")],
    out: ChangedOutOption = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="parent|REGEX", help="The group of each image, if RUN keeps groups in one split."),
    ] = None,
    skip_unreadable: SkipUnreadableOption = False,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Add IMAGES of a new or known CLASS to RUN, a probe, and write a new run in seconds.

    Example: tinysight add runs/probe-1 owl owls/
    """
    changed = api.add_images(
        run,
        label,
        images,
        out=out,
        group=group,
        dataset=data,
        data_dir=data_dir,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    print_change(changed)
