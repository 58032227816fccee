"""`tinysight remove`: remove images from a probe in seconds."""

from __future__ import annotations

from tinysight import api
from tinysight.cli.change import ChangedOutOption, KnownImagesArgument, print_change
from tinysight.cli.options import DataDirOption, RunArgument, RunDataOption
from tinysight.cli.progress import progress


def remove(
    run: RunArgument,
    images: KnownImagesArgument,
    out: ChangedOutOption = None,
    data: RunDataOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Remove IMAGES from RUN, a probe, and write a new run in seconds.

    Example: tinysight remove runs/probe-1 data/owl/1.jpg
    """
    print_change(api.remove_images(run, images, out=out, dataset=data, data_dir=data_dir, progress=progress))
