from hypothesis import given, settings
from hypothesis import strategies as st

from tinysight.reporting.lettering import elide, families, legible


def test_the_font_that_comes_with_matplotlib_is_always_there():
    assert families()[0] == "DejaVu Sans"


def test_what_can_be_drawn_stays_as_it_is():
    assert legible("Käfer, кошка, σκύλος, 99.7 %, $x_1$") == "Käfer, кошка, σκύλος, 99.7 %, $x_1$"


def test_what_cannot_be_drawn_is_marked():
    assert legible("a\nb\tc\ud800d\x00") == "a\N{REPLACEMENT CHARACTER}b�c�d�"


def test_a_long_name_loses_its_middle():
    assert elide("Cavalier King Charles Spaniel", 16) == "Cavalier…Spaniel"


@given(st.text(), st.integers(3, 30))
@settings(deadline=None)
def test_an_elided_name_fits_and_a_short_one_is_left_alone(name, limit):
    elided = elide(name, limit)

    assert len(elided) <= limit
    assert elided == legible(name) or len(name) > limit
