"""The last layer fitted by logistic regression, against scikit-learn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from tinysight.data.splits import stratified_folds
from tinysight.training.head import PENALTIES, HeadProblem


def problem(n, d, classes=3, weighted=False, has_bias=True):
    """Return noisy features around a center for each class, on different scales."""
    random = np.random.default_rng(n + d)
    labels = np.arange(n) % classes
    features = random.normal(random.normal(size=(classes, d))[labels], 2.0) * np.geomspace(0.1, 10, d) + 3
    weights = torch.from_numpy(random.uniform(0.1, 2, n)) if weighted else None
    tensors = torch.from_numpy(features).float(), torch.from_numpy(labels)
    return HeadProblem(*tensors, weights, classes, has_bias)


def reference(given, penalty):
    """Return weight and bias by scikit-learn, whose C is 1 / (n * penalty) for features of mean squared length 1."""
    features = given.features.double().numpy()
    mean = features.mean(0) if given.has_bias else np.zeros(features.shape[1])
    scale = np.sqrt(((features - mean) ** 2).sum(1).mean())
    regression = LogisticRegression(
        C=1 / (len(features) * penalty), tol=1e-12, max_iter=100_000, solver="newton-cg", fit_intercept=given.has_bias
    )
    weights = None if given.weights is None else given.weights.numpy()
    fitted = regression.fit((features - mean) / scale, given.labels.numpy(), sample_weight=weights)
    weight = fitted.coef_ / scale
    return weight, fitted.intercept_ - weight @ mean


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(("n", "d"), [(60, 5), (30, 100)])
def test_head_is_the_optimum_of_its_penalty(n, d, has_bias, weighted):
    given = problem(n, d, weighted=weighted, has_bias=has_bias)
    head = given.solve(stratified_folds(given.labels.numpy(), range(len(given.labels)), 3, 0))
    weight, bias = reference(given, head.penalty)
    features = given.features.double().numpy()
    np.testing.assert_allclose(head.weight.numpy(), weight, atol=1e-5 * np.abs(weight).max())
    # A constant added to all logits changes nothing.
    logits = features @ head.weight.numpy().T + head.bias.numpy()
    expected = features @ weight.T + bias
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-4
    )
    if not has_bias:
        assert not head.bias.any()


def test_penalty_has_the_smallest_loss_of_images_that_were_held_out():
    given = problem(60, 20)
    parts = stratified_folds(given.labels.numpy(), range(len(given.labels)), 3, 0)
    head = given.solve(parts)
    losses = {}
    for penalty in PENALTIES:
        total = 0.0
        for held_out in parts:
            kept = np.setdiff1d(np.arange(60), held_out)
            weight, bias = _fit_on(given, kept, penalty)
            logits = given.features[held_out].double() @ weight.T + bias
            total += float(F.cross_entropy(logits, given.labels[held_out], reduction="sum"))
        losses[penalty] = total / 60
    assert head.penalty == min(losses, key=losses.get)
    assert head.cv_loss == pytest.approx(losses[head.penalty], rel=1e-3)


def _fit_on(given, rows, penalty):
    """Fit scikit-learn's regression to some of the images; features are scaled as those of all images."""
    features = given.features.double().numpy()
    mean = features.mean(0)
    scale = np.sqrt(((features - mean) ** 2).sum(1).mean())
    regression = LogisticRegression(C=1 / (len(rows) * penalty), tol=1e-10, max_iter=10_000, solver="newton-cg")
    fitted = regression.fit(((features - mean) / scale)[rows], given.labels.numpy()[rows])
    weight = torch.from_numpy(fitted.coef_ / scale)
    return weight, torch.from_numpy(fitted.intercept_) - weight @ torch.from_numpy(mean)


def test_constant_features_give_the_frequencies_of_the_classes():
    labels = torch.tensor([0, 0, 0, 1])
    given = HeadProblem(torch.ones(4, 2), labels, None, 2)
    head = given.solve([np.array([0, 3]), np.array([1, 2])])
    assert torch.softmax(torch.ones(2).double() @ head.weight.T + head.bias, 0).tolist() == pytest.approx(
        [0.75, 0.25], abs=1e-4
    )


def test_several_labels_are_binary_regressions_with_a_common_penalty():
    random = np.random.default_rng(0)
    features = random.normal(size=(80, 6)) * np.geomspace(0.5, 5, 6)
    labels = (features[:, :3] + random.normal(size=(80, 3)) > 0.3).astype(np.int64)
    given = HeadProblem(torch.from_numpy(features), torch.from_numpy(labels), None, 3)
    head = given.solve(stratified_folds(labels, range(80), 4, 0))
    for number in range(3):
        alone = HeadProblem(given.features, given.labels[:, number], None, 2)
        weight, bias = reference(alone, head.penalty)
        np.testing.assert_allclose(head.weight[number].numpy(), weight[0], atol=1e-5 * np.abs(weight).max())
        assert float(head.bias[number]) == pytest.approx(bias[0], abs=1e-5)
