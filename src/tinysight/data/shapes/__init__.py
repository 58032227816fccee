"""Synthetic shapes dataset with masks and optional injected defects."""

from tinysight.data.shapes.drawing import Drawn as Drawn
from tinysight.data.shapes.drawing import draw as draw
from tinysight.data.shapes.flaws import NO_FLAWS as NO_FLAWS
from tinysight.data.shapes.flaws import Flaws as Flaws
from tinysight.data.shapes.flaws import Planted as Planted
from tinysight.data.shapes.making import CLASS_NAMES as CLASS_NAMES
from tinysight.data.shapes.making import load as load
from tinysight.data.shapes.making import make as make
from tinysight.data.shapes.making import parse as parse
