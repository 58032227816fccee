"""The examples in docstrings run."""

import doctest
import importlib
from pathlib import Path

import pytest

import tinysight

PACKAGE = Path(tinysight.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


def module_name(path):
    return ".".join(("tinysight", *path.relative_to(PACKAGE).with_suffix("").parts))


@pytest.mark.parametrize("name", [module_name(path) for path in MODULES])
def test_examples_run(name):
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 0
    assert results.failed == 0


def test_the_public_api_has_examples():
    assert {"tinysight.api", "tinysight.estimator"} <= {module_name(path) for path in MODULES}
