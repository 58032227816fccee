"""OOD detector: scores against a reference in NumPy, false alarms, detection, texts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from tinysight._util.errors import ModelError
from tinysight.models.ood import (
    MAX_STORED,
    OodDetector,
    count_stored,
    describe_ood,
    energy,
    fit_ood_threshold,
)


def draw(random, n, width=12, classes=4):
    """Return embeddings around one center per class, and logits that are largest for it."""
    labels, centers = random.integers(0, classes, n), 3 * np.eye(classes, width)
    features = centers[labels] + random.normal(size=(n, width))
    logits = 2 * features[:, :classes] + random.normal(size=(n, classes))
    return torch.from_numpy(features).float(), torch.from_numpy(logits).float()


def reference_scores(stored, stored_logits, features, logits):
    """Guidance by the nearest neighbor (Park et al. 2023), image by image, with the energies of centered logits."""
    scores = []
    for row, outputs in zip(np.asarray(features, float), np.asarray(logits, float), strict=True):
        guided = [
            float(row @ other / np.linalg.norm(row) / np.linalg.norm(other)) * logsumexp(own - own.mean())
            for other, own in zip(np.asarray(stored, float), np.asarray(stored_logits, float), strict=True)
        ]
        scores.append(-max(guided) * logsumexp(outputs - outputs.mean()))
    return scores


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_scores_equal_the_definition(seed, n_stored):
    random = np.random.default_rng(seed)
    stored, images = draw(random, n_stored), draw(random, 5)
    detector = OodDetector.fit(*stored, "multi-class")
    assert detector.scores(*images).numpy() == pytest.approx(reference_scores(*stored, *images), rel=2e-3, abs=2e-2)


def test_scores_do_not_depend_on_length_or_on_the_mean_of_the_logits():
    random = np.random.default_rng(0)
    detector, (features, logits) = OodDetector.fit(*draw(random, 50), "multi-class"), draw(random, 20)
    expected = detector.scores(features, logits)
    assert torch.allclose(detector.scores(7 * features, logits - 100), expected, rtol=1e-4)
    assert not torch.allclose(detector.scores(features, 2 * logits), expected, rtol=0.1)


def test_scores_of_several_labels_do_not_use_the_logits():
    random = np.random.default_rng(1)
    (features, logits), images = draw(random, 50), draw(random, 5)
    detector = OodDetector.fit(features, logits, "multi-label")
    similarities = torch.nn.functional.cosine_similarity(images[0][:, None], features[None], dim=2)
    expected = -similarities.amax(1)
    assert torch.allclose(detector.scores(*images), expected, atol=1e-3)


def test_energy_is_at_least_that_of_equal_logits():
    logits = torch.from_numpy(np.random.default_rng(2).normal(0, 5, (100, 7))).float()
    assert (energy(logits, "multi-class") >= np.log(7) - 1e-5).all()
    assert energy(torch.full((1, 7), -3.0), "multi-class").item() == pytest.approx(np.log(7))
    assert energy(torch.tensor([[0.0, 1e6], [-1e6, 0.0]]), "multi-class").numpy() == pytest.approx([80, 80], rel=1e-3)


def test_images_like_the_training_images_are_marked_in_5_percent_of_cases():
    random, n, shares = np.random.default_rng(3), 60, []
    for _ in range(300):
        detector = OodDetector.fit(*draw(random, 40), "multi-class")
        threshold = fit_ood_threshold(detector.scores(*draw(random, n)))
        shares.append(float((detector.scores(*draw(random, 50)) > threshold).float().mean()))
    error = 4 * np.std(shares) / np.sqrt(len(shares))
    assert 0.05 - 1 / (n + 1) - error < np.mean(shares) <= 0.05 + error


def test_images_in_another_direction_are_marked():
    random = np.random.default_rng(4)
    detector = OodDetector.fit(*draw(random, 200), "multi-class")
    threshold = fit_ood_threshold(detector.scores(*draw(random, 200)))
    features = torch.from_numpy(random.normal(size=(200, 12)) + 4 * np.eye(12)[-1]).float()  # not used by any class
    unlike = detector.scores(features, torch.from_numpy(random.normal(size=(200, 4))).float())
    assert (unlike > threshold).float().mean() > 0.9


@pytest.mark.parametrize(("n", "rank"), [(19, 19), (39, 38), (100, 96)])
def test_threshold_is_the_score_of_that_rank(n, rank):
    scores = torch.randperm(n, generator=torch.Generator().manual_seed(0)).float()
    assert fit_ood_threshold(scores) == rank - 1


def test_too_few_or_unknown_scores_give_no_threshold():
    assert fit_ood_threshold(torch.zeros(18)) is None
    assert fit_ood_threshold(torch.full((50,), torch.nan)) is None


def test_an_embedding_of_zeros_has_a_score():
    detector = OodDetector.fit(*draw(np.random.default_rng(5), 20), "multi-class")
    assert detector.scores(torch.zeros(1, 12), torch.zeros(1, 4)).tolist() == [0]


def test_embeddings_of_another_width_are_refused():
    detector = OodDetector.fit(torch.eye(3), torch.eye(3), "multi-class")
    with pytest.raises(ModelError) as error:
        detector.scores(torch.zeros(1, 4), torch.zeros(1, 3))
    assert str(error.value) == (
        "OOD detector: stores embeddings of 3 values, but the network's have 4. Restore the run from a copy or train "
        "again."
    )


@pytest.mark.parametrize(
    ("n_train", "width", "stored"), [(20, 64, 20), (9999, 64, MAX_STORED), (9999, 4096, 64), (9999, 10**6, 10)]
)
def test_fewer_images_are_stored_if_their_embeddings_are_long(n_train, width, stored):
    assert count_stored(n_train, width) == stored


def test_text_says_how_often_images_are_marked():
    assert describe_ood(-3.0, 100) == (
        'The mark "unlike the training images" was calibrated on 100 validation images. On average, it is wrong for '
        "5.0% of new images of the same kind, and for at most 8.9% with 95% confidence."
    )
    assert describe_ood(None, 18) == (
        "No image is marked as unlike the training images: 18 validation images are too few; at least 19 are needed."
    )
    assert describe_ood(None, 19) == (
        "No image is marked as unlike the training images: the network has no usable embeddings."
    )
