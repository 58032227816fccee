"""Train with a checkpoint after every step, killed by SIGKILL at each given file operation. Run by test_sigkill.py.

A training is a fork of this process, since importing torch again would take longer than the training.
"""

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

folder, last_operations = Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]


def kill_at(last_operation):
    """Kill this process at an open or a rename of a file in the run: a crash may occur between any two."""
    operations = 0

    def count(event, arguments):
        nonlocal operations
        if event in ("open", "os.rename") and str(folder) in str(arguments[0]):
            operations += 1
            if operations == last_operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


torch.set_num_threads(1)  # so that torch starts no threads, which a fork would lose
arrays = np.load(folder / "images.npz")
parts = [Split(arrays[f"{name}_pixels"], arrays[f"{name}_labels"]) for name in ("train", "test")]
dataset = Dataset("tiny", *parts, ("red", "green", "blue", "olive"), "made up")
recipe = loading.load_recipe(str(folder / "recipe.toml"))
run = folder / "run"
training.CHECKPOINT_SECONDS = 0.0
for last_operation in last_operations:
    if pid := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    kill_at(last_operation)
    resume = (run / "summary.json").exists()
    training.Session(TrainConfig(recipe, dataset, "tiny", run, resume=resume)).run()
    sys.exit()
