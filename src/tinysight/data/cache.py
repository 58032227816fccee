"""The cache directory for downloads and decoded images."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return TINYSIGHT_CACHE_DIR if it is set, else the user cache directory of the operating system."""
    chosen = os.environ.get("TINYSIGHT_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("tinysight"))
