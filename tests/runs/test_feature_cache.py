"""The cache of features computes every image once."""

import os

import numpy as np
import pytest
import torch

from tinysight._util.files import cache_folder
from tinysight.runs.feature_cache import FeatureCache, network_key


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 3, 4, 4), dtype=np.uint8)


@pytest.fixture
def key():
    return network_key({"weight": torch.rand(3)}, "setting")


class Counter:
    """Computes the sum of each channel, and counts the images."""

    def __init__(self):
        self.count = 0

    def __call__(self, pixels):
        self.count += len(pixels)
        return torch.from_numpy(pixels.sum((2, 3)).astype(np.float32))


def test_features_come_in_the_order_of_the_images(pixels, key):
    cache, compute = FeatureCache(key), Counter()
    order = [3, 0, 3, 5]
    assert torch.equal(cache.features(pixels[order], compute), Counter()(pixels[order]))
    assert torch.equal(cache.features(pixels, compute), Counter()(pixels))


def test_only_new_images_are_computed(pixels, key):
    cache, compute = FeatureCache(key), Counter()
    cache.features(pixels[:4], compute)
    cache.features(pixels, compute)
    assert compute.count == 6


def test_saved_features_are_equal_in_another_process(pixels, key):
    cache = FeatureCache(key)
    cache.features(pixels[:4], Counter())
    cache.save()
    again, compute = FeatureCache(key), Counter()
    assert torch.equal(again.features(pixels, compute), Counter()(pixels))
    assert compute.count == 2
    again.save()
    assert FeatureCache(key).features(pixels, pytest.fail).shape == (6, 3)


def test_the_least_recently_used_files_are_deleted_from_a_full_cache(pixels, monkeypatch, tmp_path):
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path))
    keys = [network_key({"weight": torch.full((3,), float(number))}) for number in range(3)]
    for age, key in zip((300, 100, 200), keys, strict=True):
        cache = FeatureCache(key)
        cache.features(pixels, Counter())
        cache.save()
        (file,) = (cache_folder() / "features" / key).iterdir()
        used = file.stat().st_mtime - age
        os.utime(file, (used, used))
    monkeypatch.setattr("tinysight.runs.feature_cache.MAX_CACHED_BYTES", 3 * file.stat().st_size)
    newest = FeatureCache(network_key({"weight": torch.zeros(3)}, "newest"))
    newest.features(pixels, Counter())
    newest.save()
    counts = []
    for key in keys:
        compute = Counter()
        FeatureCache(key).features(pixels, compute)
        counts.append(compute.count)
    assert counts == [6, 0, 0]


def test_each_network_has_features_of_its_own(pixels, key):
    cache = FeatureCache(key)
    cache.features(pixels, Counter())
    cache.save()
    compute = Counter()
    FeatureCache(network_key({"weight": torch.rand(3)}, "setting")).features(pixels, compute)
    assert compute.count == 6


def test_a_damaged_file_is_computed_again(pixels, key):
    cache = FeatureCache(key)
    cache.features(pixels, Counter())
    cache.save()
    (path,) = (cache_folder() / "features" / key).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    compute = Counter()
    assert torch.equal(FeatureCache(key).features(pixels, compute), Counter()(pixels))
    assert compute.count == 6


@pytest.mark.parametrize("change", [{"weight": torch.ones(3)}, {"bias": torch.zeros(3)}])
def test_key_depends_on_weights_and_settings(change):
    weights = {"weight": torch.zeros(3)}
    assert network_key(weights, 1) == network_key({"weight": torch.zeros(3)}, 1)
    assert network_key(change, 1) != network_key(weights, 1) != network_key(weights, 2)
