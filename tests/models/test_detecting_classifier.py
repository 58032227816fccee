"""A classifier with an OOD detector: scores of the whole, unchanged probabilities, crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tinysight.data.sources import shapes
from tinysight.models.network import logits_and_embedding
from tinysight.models.predictor import Outputs, is_unlike_training
from tinysight.runs.run import Run


@pytest.fixture(scope="module")
def classifier(detecting):
    return Run(detecting).classifier().with_spec(bf16_margin=None)


@pytest.fixture(scope="module")
def pixels():
    return shapes.render_shapes(40, seed=5).pixels


def test_scores_are_those_of_the_embeddings_and_logits(classifier, pixels):
    with torch.inference_mode():
        images = classifier.spec.normalization(torch.from_numpy(pixels).float())
        logits, features = logits_and_embedding(classifier.network.eval(), images)
        expected = classifier.detector.scores(features, logits)
    outputs = classifier.outputs(pixels)
    assert outputs.ood_scores == pytest.approx(expected.numpy(), rel=1e-4)
    assert outputs.unlike_training(classifier.ood_threshold).tolist() == (expected > classifier.ood_threshold).tolist()


@pytest.mark.parametrize("tta", [False, True])
def test_probabilities_are_the_same_bit_for_bit_with_and_without_scores(classifier, pixels, tta):
    expected = classifier.probabilities(pixels, tta=tta)
    assert np.array_equal(classifier.outputs(pixels, tta=tta).probabilities, expected)
    without = replace(classifier, detector=None).outputs(pixels, tta=tta)
    assert np.array_equal(without.probabilities, expected)
    assert np.isnan(without.ood_scores).all()


def test_scores_do_not_depend_on_tta_or_on_the_batch(classifier, pixels):
    scores = classifier.outputs(pixels).ood_scores
    assert np.array_equal(classifier.outputs(pixels, tta=True).ood_scores, scores)
    one_by_one = np.concatenate([classifier.outputs(image[None]).ood_scores for image in pixels])
    assert one_by_one == pytest.approx(scores, rel=1e-4)
    assert classifier.outputs(pixels[:0]).ood_scores.shape == (0,)


def test_scores_in_bfloat16_are_almost_those_in_float32(classifier, pixels, monkeypatch):
    monkeypatch.setattr("tinysight.models.classifier.native_bf16", lambda: True)
    scores = classifier.with_spec(bf16_margin=0.05).outputs(pixels).ood_scores
    assert scores == pytest.approx(classifier.outputs(pixels).ood_scores, rel=0.05)


def test_outputs_are_averaged_over_crops(classifier, pixels):
    crops = pixels[:36].reshape(12, 3, 3, 32, 32).copy()
    crops[:4, 1] = crops[:4, 0]
    outputs = Outputs.over_crops(classifier.outputs, crops)
    expected = [classifier.outputs(image_crops) for image_crops in crops]
    assert outputs.ood_scores == pytest.approx([each.ood_scores.mean() for each in expected], rel=1e-4)
    assert outputs.probabilities == pytest.approx(np.stack([each.probabilities.mean(0) for each in expected]), abs=1e-5)
    assert [score for _, score in outputs] == outputs.ood_scores.tolist()


@pytest.mark.parametrize(("score", "threshold", "unlike"), [(1.5, 1.0, True), (1.0, 1.0, False), (9.0, None, None)])
def test_an_image_above_the_threshold_is_unlike_the_training_images(score, threshold, unlike):
    assert is_unlike_training(score, threshold) is unlike
