"""Train with a checkpoint after every step and SIGKILL itself at the given file operation. Run by test_sigkill.py."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from tinysight.data.dataset import Dataset, Split
from tinysight.recipes import loading
from tinysight.training import session as training
from tinysight.training.request import TrainConfig

folder, last_operation = Path(sys.argv[1]), int(sys.argv[2])
operations = 0


def count(event, arguments):
    """Count opens and renames of files in the run: a crash may occur between any two."""
    global operations
    if event in ("open", "os.rename") and str(folder) in str(arguments[0]):
        operations += 1
        if operations == last_operation:
            os.kill(os.getpid(), signal.SIGKILL)


torch.set_num_threads(1)
arrays = np.load(folder / "images.npz")
parts = [Split(arrays[f"{name}_pixels"], arrays[f"{name}_labels"]) for name in ("train", "test")]
dataset = Dataset("tiny", *parts, ("red", "green", "blue", "olive"), "made up")
recipe = loading.load_recipe(str(folder / "recipe.toml"))
run = folder / "run"
training.CHECKPOINT_SECONDS = 0.0
sys.addaudithook(count)
resume = (run / "summary.json").exists()
training.Session(TrainConfig(recipe, dataset, "tiny", run, resume=resume)).run()
