"""Synthetic shapes dataset with masks and optional injected defects."""

from __future__ import annotations

from tinysight.data.dataset import Dataset, Provenance
from tinysight.data.source import DataSource, LoadOptions
from tinysight.data.sources.shapes.defects import NO_DEFECTS as NO_DEFECTS
from tinysight.data.sources.shapes.defects import Defects as Defects
from tinysight.data.sources.shapes.defects import GroundTruth as GroundTruth
from tinysight.data.sources.shapes.generate import CLASS_NAMES as CLASS_NAMES
from tinysight.data.sources.shapes.generate import load_shapes as load_shapes
from tinysight.data.sources.shapes.generate import make_shapes as make_shapes
from tinysight.data.sources.shapes.generate import parse_options as parse_options
from tinysight.data.sources.shapes.render import RenderedBatch as RenderedBatch
from tinysight.data.sources.shapes.render import render_shapes as render_shapes


class ShapesSource(DataSource):
    """The synthetic shapes, with options after a colon."""

    name = "shapes"
    is_builtin = True
    provenance = Provenance(
        "Synthetic images that tinysight renders; no photographs.",
        "Not required: no person took these images or is shown in them.",
        "The license of tinysight.",
    )

    def matches(self, spec: object) -> bool:
        """Return whether `spec` is "shapes" or "shapes:OPTIONS"."""
        return isinstance(spec, str) and spec.split(":")[0] == self.name

    def argument(self, spec: str) -> str:
        """Return `spec`."""
        return spec

    def load(self, spec: str, options: LoadOptions) -> Dataset:
        """Generate the images. See `make_shapes`."""
        return load_shapes(**parse_options(spec), size=options.image_size)


SOURCE = ShapesSource()
