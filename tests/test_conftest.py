"""A test session fails if TINYSIGHT_DATA_DIR is set and no test ran on real images."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    "Replaces the one of conftest.py, since importing torch takes longer than these tests."

@pytest.mark.data
def test_skipped():
    pytest.skip("no images")

@pytest.mark.data
def test_that_runs():
    {body}
"""


@pytest.mark.parametrize(
    ("variable", "body", "code"),
    [("images", "pytest.skip()", 1), ("", "pytest.skip()", 0), ("images", "pass", 0)],
)
def test_a_session_fails_if_all_tests_on_real_images_are_skipped(tmp_path, variable, body, code):
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path)
    (tmp_path / "test_data.py").write_text(TESTS.format(body=body))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = data\n")
    environment = {**os.environ, "TINYSIGHT_DATA_DIR": variable}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert completed.returncode == code
    assert ("failed: TINYSIGHT_DATA_DIR holds no CIFAR-10" in completed.stdout) == bool(code)
