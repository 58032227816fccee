"""Case A5: near-duplicates of small sets, which the search by whitened components missed."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from tinysight.data.near_duplicates import MAX_DISTANCE, find_near_duplicates
from tinysight.data.sources import shapes


def scenes(n, seed=0, side=32):
    """Smooth random images with the spectrum of photos, uint8 (n, 3, side, side)."""
    random = np.random.default_rng(seed)
    noise = gaussian_filter(random.normal(size=(n, 3, side, side)), (0, 0, side / 12, side / 12))
    return (128 + 50 * noise / noise.std((1, 2, 3), keepdims=True)).clip(0, 255).astype(np.uint8)


def noisy(images, seed, deviation=4.0):
    noise = np.random.default_rng(seed).normal(0, deviation, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def frames(images, seed):
    """Frames of scenes: shifted by up to a pixel, brighter or darker, noisy."""
    random = np.random.default_rng(seed)
    moved = np.stack([np.roll(image, random.integers(-1, 2, 2), axis=(1, 2)) for image in images])
    return noisy((moved * random.uniform(0.9, 1.1, (len(images), 1, 1, 1))).clip(0, 255), seed, 3.0)


def pairs_within(n_scenes, copies):
    """The pairs of copies of the same scene, where copy k of scene s is image k * n_scenes + s."""
    index = np.arange(n_scenes * copies)
    first, second = np.nonzero((index[:, None] % n_scenes == index % n_scenes) & (index[:, None] < index))
    return set(zip(first.tolist(), second.tolist(), strict=True))


def test_ten_images_with_six_noisy_copies_give_all_150_pairs():
    images = scenes(10)
    found = find_near_duplicates(np.concatenate([noisy(images, seed) for seed in range(6)]))
    assert set(map(tuple, found.pairs.tolist())) == pairs_within(10, 6)
    assert len(found) == 150
    assert not found.mirrored.any()


def test_the_frames_of_24_scenes_are_joined_to_24_groups():
    images = scenes(24, seed=3)
    found = find_near_duplicates(np.concatenate([frames(images, seed) for seed in range(6)]))
    truth = pairs_within(24, 6)
    assert len(truth) == 360
    assert len(truth & set(map(tuple, found.pairs.tolist()))) >= 355
    assert set(map(tuple, found.pairs.tolist())) <= truth
    groups = found.groups(144)
    assert len(set(groups)) == 24
    assert (groups.reshape(6, 24) == groups[:24]).all()


@pytest.mark.parametrize("exhaustive", [True, False])
def test_a_diagonal_shift_by_the_largest_shift_is_found(exhaustive):
    images = shapes.render_shapes(600, seed=4).pixels
    moved = np.stack([np.roll(image, (2, 2), axis=(1, 2)) for image in images[:20]])
    pairs = find_near_duplicates(np.concatenate([images, moved]), exhaustive=exhaustive).pairs.tolist()
    assert sum([index, 600 + index] in pairs for index in range(20)) >= 19


def reference_distance(first, second):
    """Least RMS difference over contrast at all shifts, computed image by image."""
    height, width = first.shape[1:]
    shift = max(1, height // 16)

    def smooth(image):
        padded = np.pad(image.astype(float), ((0, 0), (1, 1), (1, 1)), mode="edge")
        return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2)).mean((3, 4))

    first, second = smooth(first), smooth(second)
    middle = first[:, shift:-shift, shift:-shift]
    middle = middle - middle.mean()
    distances = []
    for top in range(2 * shift + 1):
        for left in range(2 * shift + 1):
            window = second[:, top : top + height - 2 * shift, left : left + width - 2 * shift]
            window = window - window.mean()
            contrast = max(10.0, ((middle.var() + window.var()) / 2) ** 0.5)
            distances.append(((middle - window) ** 2).mean() ** 0.5 / contrast)
    return min(distances)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    side=st.sampled_from([8, 17, 32]),
    deviation=st.sampled_from([2.0, 12.0, 30.0]),
    contrast=st.sampled_from([0.05, 1.0]),
)
def test_the_bound_loses_no_pair_that_a_comparison_of_all_pixels_finds(seed, side, deviation, contrast):
    images = scenes(4, seed, side)
    images = (128 + (images - 128.0) * contrast).astype(np.uint8)
    pixels = np.concatenate([images, noisy(images, seed, deviation), noisy(images[:, :, :, ::-1], seed + 1, deviation)])
    expected = {}
    for first in range(len(pixels)):
        for second in range(first + 1, len(pixels)):
            candidates = pixels[second], pixels[second][:, :, ::-1]
            expected[first, second] = min(reference_distance(pixels[first], image) for image in candidates)
    found = find_near_duplicates(pixels)
    pairs = dict(zip(map(tuple, found.pairs.tolist()), found.distance.tolist(), strict=True))
    assert {pair for pair, distance in expected.items() if distance < MAX_DISTANCE - 1e-3} <= set(pairs)
    assert all(distance == pytest.approx(expected[pair], abs=2e-3) for pair, distance in pairs.items())


def test_images_that_are_all_alike_form_one_group_without_a_comparison_of_all_pairs():
    found = find_near_duplicates(np.repeat(scenes(1), 300, axis=0))
    assert set(found.groups(300)) == {0}
    assert len(found) < 300 * 299 / 4


def test_only_pairs_between_two_parts_are_found():
    images = scenes(20)
    pixels = np.concatenate([images, images[:5], images[3:8]])  # 5 to 7 only in the second part's end
    pairs = find_near_duplicates(pixels, between=20).pairs.tolist()
    assert sorted(pairs) == sorted([[k, 20 + k] for k in range(5)] + [[3 + k, 25 + k] for k in range(5)])
    by_candidates = find_near_duplicates(pixels, between=20, exhaustive=False).pairs.tolist()
    assert sorted(by_candidates) == sorted(pairs)


def test_large_images_are_compared_too():
    images = scenes(4, side=224)
    buffer = io.BytesIO()
    Image.fromarray(images[0].transpose(1, 2, 0)).save(buffer, "JPEG", quality=40)
    copy = np.asarray(Image.open(buffer)).transpose(2, 0, 1)[None]
    assert find_near_duplicates(np.concatenate([images, copy])).pairs.tolist() == [[0, 4]]
