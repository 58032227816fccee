"""OOD detection: energy scores, AUROC and OOD images."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from tinysight.data.load import load
from tinysight.data.sources import shapes
from tinysight.evaluation import ood
from tinysight.evaluation.ood import OOD_GENERATORS, measure_ood_detection, ood_score
from tinysight.runs.run import Run
from tinysight.training.seeding import derive_seed


@pytest.fixture(scope="module")
def classifier(trained):
    return Run(trained).classifier()


@pytest.fixture(scope="module")
def pixels():
    return load("shapes:train=100,test=30").test.pixels


def test_score_without_a_detector_is_energy_of_logits(classifier, pixels):
    logits = classifier.logits(pixels).double()
    assert ood_score(classifier, pixels) == pytest.approx((-logits.exp().sum(1).log()).numpy(), rel=1e-5)


def test_score_and_marks_are_those_of_predictions(detecting, pixels):
    classifier = Run(detecting).classifier()
    detection = measure_ood_detection(classifier, pixels, "cifar10", seed=4)
    assert np.array_equal(ood_score(classifier, pixels), classifier.outputs(pixels).ood_scores)
    for name, share in detection.marked.items():
        images = OOD_GENERATORS[name](pixels, derive_seed(4, f"strangers {name}"))
        assert share == (classifier.outputs(images).ood_scores > classifier.ood_threshold).mean()
    assert list(detection.marked) == ["noise", "textures", "shapes"]


def test_score_of_several_labels_is_the_joint_energy(classifier, pixels):
    logits = classifier.logits(pixels).double()
    labels = {"task": "multi-label", "thresholds": (0.5,) * 10}
    expected = (-(1 + logits.exp()).log().sum(1)).numpy()
    assert ood_score(classifier.with_spec(**labels), pixels) == pytest.approx(expected, rel=1e-5)


def test_auroc_is_1_if_all_scores_are_higher(classifier, pixels, monkeypatch):
    monkeypatch.setattr(ood, "ood_score", lambda _, images: images.mean((1, 2, 3)))
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


def test_auroc_equals_the_mann_whitney_statistic_of_seeded_images(classifier, pixels):
    detection = measure_ood_detection(classifier, pixels, "cifar10", seed=4)
    assert detection.n == 30
    assert list(detection.auroc) == ["noise", "textures", "shapes"]
    for name, auroc in detection.auroc.items():
        images = OOD_GENERATORS[name](pixels, derive_seed(4, f"strangers {name}"))
        statistic = mannwhitneyu(ood_score(classifier, images), ood_score(classifier, pixels)).statistic
        assert auroc == pytest.approx(statistic / (30 * 30))


def test_the_default_seed_is_0(classifier, pixels):
    assert measure_ood_detection(classifier, pixels, "x") == measure_ood_detection(classifier, pixels, "x", seed=0)
    assert measure_ood_detection(classifier, pixels, "x") != measure_ood_detection(classifier, pixels, "x", seed=1)


def test_noise_is_uniform_from_0_to_255():
    noise = OOD_GENERATORS["noise"](np.zeros((40, 3, 32, 32), np.uint8), 0)
    counts = np.bincount(noise.ravel(), minlength=256)
    assert len(counts) == 256
    assert np.abs(counts / noise.size * 256 - 1).max() < 0.25


def test_textures_of_gray_and_of_constant_images_stay_gray_and_constant():
    random = np.random.default_rng(0)
    gray = np.repeat(random.integers(80, 180, (4, 1, 9, 12), dtype=np.uint8), 3, axis=1)
    textures = OOD_GENERATORS["textures"](gray, 1)
    assert textures.shape == gray.shape
    assert np.array_equal(textures[:, 0], textures[:, 2])
    assert not np.array_equal(textures[0], textures[1])
    constant = np.full((2, 3, 8, 8), 77, np.uint8)
    assert np.array_equal(OOD_GENERATORS["textures"](constant, 1), constant)


def test_textures_of_strong_contrast_are_clipped():
    stripes = np.zeros((8, 3, 32, 32), np.uint8)
    stripes[..., ::4] = 255
    for images, level in ((stripes, 0), (255 - stripes, 255)):  # values beyond the range do not wrap around
        textures = OOD_GENERATORS["textures"](images, 0)
        assert (textures == level).mean() > 0.05
        assert (textures == 255 - level).mean() < 0.01


def test_shapes_are_unseen_images_of_the_same_size():
    images = OOD_GENERATORS["shapes"](np.zeros((5, 3, 24, 24), np.uint8), 3)
    assert np.array_equal(images, shapes.render_shapes(5, 3, 24, split=1).pixels)
    assert not np.array_equal(images, shapes.render_shapes(5, 3, 24, split=0).pixels)
