"""Format numbers for people: every percentage in the product is written here."""

from __future__ import annotations


def percent(share: float) -> str:
    """Return a share, 0..1, as a percentage with one decimal and no space.

    >>> percent(0.969), percent(1.0)
    ('96.9%', '100.0%')
    """
    return f"{share:.1%}"


def percent_interval(interval: tuple[float, float]) -> str:
    """Return the ends of an interval of shares, 0..1.

    >>> percent_interval((0.894, 0.906))
    '89.4% to 90.6%'
    """
    low, high = interval
    return f"{percent(low)} to {percent(high)}"


def points(difference: float) -> str:
    """Return a difference of two shares in percentage points, with its sign.

    Two decimals, because paired runs often differ by less than 0.1 points.

    >>> points(0.0123), points(-0.0004)
    ('+1.23', '-0.04')
    """
    return f"{100 * difference:+.2f}"
