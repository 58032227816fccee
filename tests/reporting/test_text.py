import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysight.reporting.style import drawable, font_families, truncate_middle


def test_the_font_of_matplotlib_is_always_available():
    assert font_families()[0] == "DejaVu Sans"


def test_drawable_text_is_unchanged():
    assert drawable("Käfer, кошка, σκύλος, 99.7%, $x_1$") == "Käfer, кошка, σκύλος, 99.7%, $x_1$"


def test_other_characters_are_replaced():
    assert drawable("a\nb\tc\ud800d\x00") == "a\N{REPLACEMENT CHARACTER}b�c�d�"


def test_a_long_name_is_truncated_in_the_middle():
    assert truncate_middle("Cavalier King Charles Spaniel", 16) == "Cavalier…Spaniel"


@given(st.text(), st.integers(3, 30))
@settings(deadline=None)
def test_a_truncated_name_fits_and_a_short_one_is_unchanged(name, limit):
    truncated = truncate_middle(name, limit)

    assert len(truncated) <= limit
    assert truncated == drawable(name) or len(name) > limit


@pytest.mark.parametrize(
    ("name", "limit", "truncated"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc…fg"),
        ("abcdefgh", 7, "abc…fgh"),
        ("abcd", 3, "a…d"),
        ("ab cdef gh", 7, "ab…gh"),
        ("", 3, ""),
        ("a\nbcdefgh", 5, "a\N{REPLACEMENT CHARACTER}…gh"),
    ],
)
def test_the_middle_is_replaced_by_one_character(name, limit, truncated):
    assert truncate_middle(name, limit) == truncated
