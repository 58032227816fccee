"""OOD detection: energy scores, AUROC and OOD images."""

import numpy as np
import pytest
import torch

from tinysight.data.load import load
from tinysight.evaluation import ood
from tinysight.evaluation.ood import OOD_GENERATORS, energy_score, measure_ood_detection
from tinysight.runs.run import Run


@pytest.fixture(scope="module")
def classifier(trained):
    return Run(trained).classifier()


@pytest.fixture(scope="module")
def pixels():
    return load("shapes:train=100,test=30").test.pixels


def test_score_is_energy_of_logits(classifier, pixels):
    logits = classifier.logits(pixels).double()
    assert energy_score(classifier, pixels) == pytest.approx((-logits.exp().sum(1).log()).numpy(), rel=1e-5)


def test_auroc_is_1_if_all_scores_are_higher(classifier, pixels, monkeypatch):
    monkeypatch.setattr(ood, "energy_score", lambda _, images: images.mean((1, 2, 3)))
    monkeypatch.setitem(OOD_GENERATORS, "noise", lambda images, seed: np.full_like(images, 255))
    monkeypatch.setitem(OOD_GENERATORS, "textures", lambda images, seed: images)
    detection = measure_ood_detection(classifier, pixels, "photographs")

    assert detection.auroc["noise"] == 1.0
    assert detection.auroc["textures"] == pytest.approx(0.5)


def test_shapes_are_not_ood_for_shapes_classifier(classifier, pixels):
    assert set(measure_ood_detection(classifier, pixels, "shapes").auroc) == {"noise", "textures"}


@pytest.mark.parametrize("name", OOD_GENERATORS)
def test_ood_images_have_same_shape_and_depend_on_seed(name, pixels):
    once, again, other = (OOD_GENERATORS[name](pixels, seed) for seed in (1, 1, 2))
    assert once.shape == pixels.shape
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_textures_keep_mean_and_spectrum():
    pixels = (128 + 40 * torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))).clamp(40, 215)
    pixels = pixels.byte().numpy()
    textures = OOD_GENERATORS["textures"](pixels, 0)
    spectra = [np.abs(np.fft.rfft2(images.astype(float))) for images in (pixels, textures)]

    assert np.abs(textures.mean((2, 3)) - pixels.mean((2, 3))).max() < 1.5
    assert np.corrcoef(spectra[0].ravel(), spectra[1].ravel())[0, 1] > 0.99
    assert np.abs(np.corrcoef(pixels.ravel(), textures.ravel())[0, 1]) < 0.5
