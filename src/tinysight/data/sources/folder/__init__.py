"""Image folders, with one subfolder per class, as a data source."""

from tinysight.data.sources.folder.scan import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from tinysight.data.sources.folder.scan import FolderIndex as FolderIndex
from tinysight.data.sources.folder.scan import scan_folder as scan_folder
from tinysight.data.sources.folder.source import load_folder as load_folder
