"""Image folders, with one subfolder per class, as a data source."""

from tinysight.data.folders.listing import SUFFIXES as SUFFIXES
from tinysight.data.folders.listing import Listing as Listing
from tinysight.data.folders.listing import scan as scan
from tinysight.data.folders.loading import load as load
