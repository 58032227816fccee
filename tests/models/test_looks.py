"""Pictures that are looked at more than once get the mean of what is said."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinysight.models.looks import over_looks


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=5))
def test_the_mean_counts_every_look_and_none_is_asked_about_twice(repeats):
    """`repeats`: of each picture, whether its second and its third look show what the first does."""
    random, asked = np.random.default_rng(len(repeats)), []
    looks = random.integers(0, 256, (len(repeats), 3, 3, 2, 2), dtype=np.uint8)
    for picture, same in zip(looks, repeats, strict=True):
        picture[1:][same] = picture[0]

    def levels(pixels):
        asked.append(len(pixels))
        return pixels.mean((2, 3)).astype(np.float32) / 255

    found = over_looks(levels, looks)
    for row, picture in zip(found, looks, strict=True):
        assert np.allclose(row, np.mean([one.mean((1, 2)) / 255 for one in picture], axis=0), atol=1e-6)
    assert sum(asked) == len(looks) + sum(not same for pair in repeats for same in pair)
