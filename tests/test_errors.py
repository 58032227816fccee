"""Errors say what to do, and end in the exit code that the command line promises."""

import doctest

import pytest

from tinysight import errors
from tinysight.errors import InputError, TinysightError, nearest


def every(kind):
    return [kind, *(below for child in kind.__subclasses__() for below in every(child))]


@pytest.mark.parametrize("kind", every(TinysightError))
def test_bad_input_ends_in_exit_code_2_and_failed_work_in_1(kind):
    assert kind.exit_code == (2 if issubclass(kind, InputError) else 1)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(errors).failed == 0
    assert doctest.testmod(errors).attempted > 0


def test_a_slip_of_the_finger_is_answered_with_the_name_that_was_meant():
    assert nearest("strided-augmetned", ["strided", "strided-augmented", "deep"]) == (
        " Did you mean 'strided-augmented'?"
    )


def test_a_name_like_no_other_is_answered_with_all_there_are():
    assert nearest("resnet", ["deep", "simple"]) == " Known: deep, simple."
