"""Names of splits in any spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight.data.split_names import SPLIT_ALIASES, split_and_rest, split_of

SEPARATORS = ["", " ", "_", "-", ".", "__"]


@given(
    name=st.sampled_from(sorted(SPLIT_ALIASES)),
    separator=st.sampled_from(SEPARATORS),
    added=st.sampled_from(["", "set", "data", "images", "2017", "1"]),
    seed=st.randoms(use_true_random=False),
)
def test_case_separators_and_added_words_do_not_matter(name, separator, added, seed):
    written = separator.join([*name.split("_"), *([added] if added else [])])
    written = "".join(seed.choice([letter.lower(), letter.upper()]) for letter in written)
    assert split_of(written) == SPLIT_ALIASES[name]


@pytest.mark.parametrize(
    "name",
    ["", "_", "2017", "set", "data", "strain", "trains", "trainer", "bus", "contest", "tester", "value", "device", "x"],
)
def test_other_names_are_no_splits(name):
    assert split_of(name) is None
    assert split_and_rest(name) is None


@given(st.text(max_size=12))
def test_any_text_is_a_split_or_none(name):
    assert split_of(name) in ("train", "validation", "test", None)
    named = split_and_rest(name)
    assert named is None or (named[0] in ("train", "validation", "test") and named[1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("seg_train", ("train", "seg")),
        ("Test-Cats", ("test", "cats")),
        ("fruits 360 valid", ("validation", "fruits 360")),
        ("train_test", ("test", "train")),
        ("cats", None),
        ("Training", None),
    ],
)
def test_splits_at_either_end_of_a_name(name, expected):
    assert split_and_rest(name) == expected
