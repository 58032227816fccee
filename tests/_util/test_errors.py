"""Exit codes of the exceptions, and suggestions for misspelled names."""

import doctest

import pytest

from tinysight._util import errors
from tinysight._util.errors import InputError, TinysightError, did_you_mean


def with_subclasses(kind):
    return [kind, *(subclass for child in kind.__subclasses__() for subclass in with_subclasses(child))]


@pytest.mark.parametrize("kind", with_subclasses(TinysightError))
def test_invalid_input_exits_with_2_and_failed_work_with_1(kind):
    assert kind.exit_code == (2 if issubclass(kind, InputError) else 1)


def test_docstring_examples_run():
    assert doctest.testmod(errors).failed == 0
    assert doctest.testmod(errors).attempted > 0


def test_a_misspelled_name_gets_a_suggestion():
    assert did_you_mean("strided-augmetned", ["strided", "strided-augmented", "deep"]) == (
        " Did you mean 'strided-augmented'?"
    )


def test_an_unrelated_name_gets_the_list_of_valid_names():
    assert did_you_mean("resnet", ["deep", "simple"]) == " Known: deep, simple."
