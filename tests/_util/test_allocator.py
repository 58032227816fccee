"""Out-of-memory errors, and reuse of freed memory."""

import platform
import subprocess
import sys

import pytest
import torch

from tinysight._util.allocator import translate_oom
from tinysight._util.errors import TinysightError, TrainingError

CHURN = """
import resource
import numpy as np
{setup}
def churn():
    return [np.ones(2**21) for _ in range(3)]  # 16 MiB each

churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "from tinysight._util.allocator import tune_malloc; tune_malloc()"


def page_faults(setup):
    completed = subprocess.run(
        [sys.executable, "-c", CHURN.format(setup=setup)], capture_output=True, text=True, check=True
    )
    return int(completed.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc returns freed memory at once")
def test_repeated_allocations_reuse_their_pages():
    assert page_faults(KEEP) * 10 < page_faults("")


@pytest.mark.parametrize("kind", [TinysightError, TrainingError])
def test_a_failed_allocation_becomes_a_tinysight_error(kind):
    with pytest.raises(kind, match="not enough memory: buy some"), translate_oom("buy some", kind):
        torch.empty(2**59, dtype=torch.uint8)


def test_other_errors_pass_through():
    with pytest.raises(RuntimeError, match="another error"), translate_oom("buy some"):
        raise RuntimeError("another error")
