"""Averaging of probabilities over crops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinysight.models.tta import average_over_crops


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=5))
def test_mean_counts_every_crop_and_predicts_equal_crops_once(repeats):
    """`repeats`: for each image, whether its second and third crop equal the first."""
    random, batch_sizes = np.random.default_rng(len(repeats)), []
    crops = random.integers(0, 256, (len(repeats), 3, 3, 2, 2), dtype=np.uint8)
    for image_crops, same in zip(crops, repeats, strict=True):
        image_crops[1:][same] = image_crops[0]

    def predict(pixels):
        batch_sizes.append(len(pixels))
        return pixels.mean((2, 3)).astype(np.float32) / 255

    probabilities = average_over_crops(predict, crops)
    for row, image_crops in zip(probabilities, crops, strict=True):
        assert np.allclose(row, np.mean([crop.mean((1, 2)) / 255 for crop in image_crops], axis=0), atol=1e-6)
    assert sum(batch_sizes) == len(crops) + sum(not same for pair in repeats for same in pair)
