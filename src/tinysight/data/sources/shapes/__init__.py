"""Synthetic shapes dataset with masks and optional injected defects."""

from tinysight.data.sources.shapes.defects import NO_DEFECTS as NO_DEFECTS
from tinysight.data.sources.shapes.defects import Defects as Defects
from tinysight.data.sources.shapes.defects import GroundTruth as GroundTruth
from tinysight.data.sources.shapes.generate import CLASS_NAMES as CLASS_NAMES
from tinysight.data.sources.shapes.generate import load_shapes as load_shapes
from tinysight.data.sources.shapes.generate import make_shapes as make_shapes
from tinysight.data.sources.shapes.generate import parse_options as parse_options
from tinysight.data.sources.shapes.render import RenderedBatch as RenderedBatch
from tinysight.data.sources.shapes.render import render_shapes as render_shapes
