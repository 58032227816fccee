"""Nearest training images and the features that they are found by."""

import numpy as np
import pytest
import torch

from tinysight.data.load import load
from tinysight.explanation.feature_index import FeatureIndex, extract_features
from tinysight.runs.run import Run


@pytest.fixture(scope="module")
def classifier(trained):
    return Run(trained).classifier()


@pytest.fixture(scope="module")
def pixels():
    return load("shapes:train=100,test=30").train.pixels


def test_training_image_is_its_own_nearest_neighbor(classifier, pixels):
    near = FeatureIndex(classifier, extract_features(classifier, pixels)).nearest(pixels[:10], 3)
    assert near.indices[:, 0].tolist() == list(range(10))
    assert near.similarities[:, 0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(near.similarities, axis=1) <= 1e-6).all()


def test_features_are_inputs_of_last_layer(classifier, pixels):
    captured = {}
    hook = classifier.network.head.register_forward_hook(lambda _, inputs, __: captured.update(inputs=inputs[0]))
    classifier.logits(pixels[:5])
    hook.remove()
    expected = torch.nn.functional.normalize(captured["inputs"])
    assert torch.allclose(extract_features(classifier, pixels[:5]), expected, atol=1e-5)


def test_features_in_bfloat16_are_close_to_those_in_float32(classifier, pixels, monkeypatch):
    monkeypatch.setattr("tinysight.models.classifier.native_bf16", lambda: True)
    bf16, fp32 = (extract_features(classifier.with_spec(bf16_margin=margin), pixels) for margin in (0.1, None))
    assert bf16.dtype == fp32.dtype == torch.float32
    assert not torch.equal(bf16, fp32)
    assert torch.allclose(bf16, fp32, atol=0.01)


def test_nearest_is_limited_by_number_of_training_images(classifier, pixels):
    assert FeatureIndex(classifier, extract_features(classifier, pixels[:2])).nearest(pixels[:4], 5).indices.shape == (
        4,
        2,
    )


def test_neighbors_have_the_largest_cosine_similarity(classifier, pixels):
    features = extract_features(classifier, pixels).numpy()
    near = FeatureIndex(classifier, extract_features(classifier, pixels)).nearest(pixels[:6])
    similarity = features[:6] @ features.T
    assert near.indices.shape == (6, 5)
    assert near.similarities == pytest.approx(-np.sort(-similarity, axis=1)[:, :5], abs=1e-5)
    assert np.take_along_axis(similarity, near.indices, 1) == pytest.approx(near.similarities, abs=1e-5)
    assert np.linalg.norm(features, axis=1) == pytest.approx(1, abs=1e-5)


def test_no_images_have_features_of_the_same_width(classifier, pixels):
    width = extract_features(classifier, pixels[:1]).shape[1]
    assert extract_features(classifier, pixels[:0]).shape == (0, width)


def test_bfloat16_features_are_close_to_those_of_float32(classifier, pixels, monkeypatch):
    monkeypatch.setattr("tinysight.models.classifier.native_bf16", lambda: True)
    reduced = extract_features(classifier.with_spec(bf16_margin=0.5), pixels)
    exact = extract_features(classifier.with_spec(bf16_margin=None), pixels)
    assert reduced.dtype == torch.float32
    assert not torch.equal(reduced, exact)
    assert (reduced * exact).sum(1).min() > 0.999
