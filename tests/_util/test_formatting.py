import pytest

from tinysight._util.formatting import percent, percent_interval, points


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0.0%"), (0.001, "0.1%"), (0.9689, "96.9%"), (1.0, "100.0%"), (-0.0125, "-1.2%")]
)
def test_percentages_have_one_decimal_and_no_space(share, text):
    assert percent(share) == text


def test_intervals_are_percentages_with_to():
    assert percent_interval((0.61, 1.0)) == "61.0% to 100.0%"


def test_differences_are_signed_percentage_points():
    assert (points(0.0), points(0.0123), points(-0.5)) == ("+0.00", "+1.23", "-50.00")
