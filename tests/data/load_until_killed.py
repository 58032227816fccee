"""Decode a folder, killing this process at the given write-open of a cache file. Run by test_pixel_cache.py."""

import os
import signal
import sys
from pathlib import Path

from tinysight.data import pixel_cache
from tinysight.data.sources.folder import load_folder

folder, cache, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
opened = 0


def count(event, arguments):
    """Count how often a cache file is opened for writing, and kill the process at number `kill_at`."""
    global opened
    if event == "open" and str(cache) in str(arguments[0]) and arguments[1] in ("a", "r+"):
        opened += 1
        if opened == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


pixel_cache.FILES_PER_CHUNK = 4
sys.addaudithook(count)
load_folder(folder, (8, 8), skip_unreadable=True, cache=cache)
