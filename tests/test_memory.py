import platform
import subprocess
import sys

import pytest
import torch

from tinysight.errors import TinysightError, TrainingError
from tinysight.memory import enough_memory

CHURN = """
import resource
import numpy as np
{first}
def churn():
    return [np.ones(2**21) for _ in range(3)]  # 16 MiB each

churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "from tinysight.memory import keep_freed_memory; keep_freed_memory()"


def page_faults(first):
    done = subprocess.run([sys.executable, "-c", CHURN.format(first=first)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back so eagerly")
def test_arrays_made_again_and_again_find_their_pages_where_they_were():
    assert page_faults(KEEP) * 10 < page_faults("")


@pytest.mark.parametrize("kind", [TinysightError, TrainingError])
def test_more_memory_than_any_machine_has_is_said_in_words(kind):
    with pytest.raises(kind, match="not enough memory for this; buy some"), enough_memory("buy some", kind):
        torch.empty(2**59, dtype=torch.uint8)


def test_other_faults_stay_what_they_are():
    with pytest.raises(RuntimeError, match="another fault"), enough_memory("buy some"):
        raise RuntimeError("another fault")
