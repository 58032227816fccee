import platform
import subprocess
import sys

import pytest

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
KEEP = "from tinysight.allocation import keep_freed_memory; keep_freed_memory()"


def page_faults(first):
    done = subprocess.run([sys.executable, "-c", CHURN.format(first=first)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back so eagerly")
def test_arrays_made_again_and_again_find_their_pages_where_they_were():
    assert page_faults(KEEP) * 10 < page_faults("")
