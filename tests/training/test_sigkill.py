import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tinysight.recipes import loading
from tinysight.runs.run import Run

SCRIPT = Path(__file__).parent / "train_until_sigkill.py"


@pytest.mark.slow
def test_a_run_killed_repeatedly_equals_an_uninterrupted_one(train, plan, dataset, weights, tmp_path):
    settled = plan(
        "training.epochs=5", "model.architecture=strided", "optimizer.name=adam", "early_stopping.patience=5"
    )
    (tmp_path / "recipe.toml").write_text(loading.dump_recipe(settled.recipe))
    parts = {"train": dataset.train, "test": dataset.test}
    arrays = {f"{name}_{kind}": getattr(part, kind) for name, part in parts.items() for kind in ("pixels", "labels")}
    np.savez(tmp_path / "images.npz", **arrays)

    operations = [*np.random.default_rng(0).integers(10, 45, 5).tolist(), 0]
    process = subprocess.run([sys.executable, SCRIPT, tmp_path, *map(str, operations)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [str(-signal.SIGKILL)] * 5 + ["0"], process.stderr

    train(settled, tmp_path / "uninterrupted")
    actual, expected = weights(tmp_path / "run"), weights(tmp_path / "uninterrupted")
    assert all(torch.equal(actual[name], expected[name]) for name in actual)
    assert Run(tmp_path / "run").summary().status == "finished"
