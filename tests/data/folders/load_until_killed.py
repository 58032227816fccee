"""Decode a folder and die without a word at the given opening of a file in the cache. Run by test_interrupted.py."""

import os
import signal
import sys
from pathlib import Path

from tinysight.data.folders import load, pixel_cache

folder, cache, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
opened = 0


def count(event, arguments):
    """Count how often a file is opened to be written to: before any of them the process may be killed."""
    global opened
    if event == "open" and str(cache) in str(arguments[0]) and arguments[1] in ("a", "r+"):
        opened += 1
        if opened == last:
            os.kill(os.getpid(), signal.SIGKILL)


pixel_cache.CHUNK = 4
sys.addaudithook(count)
load(folder, (8, 8), skip_bad=True, cache=cache)
