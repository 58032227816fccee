"""What an outsider who may ask a model can find out: whether an image was among those it learned from.

Three attacks, each a score that is higher for images taken for members: the loss alone (Yeom et al., "Privacy Risk in
Machine Learning", CSF 2018), the loss beside that of the same class, and LiRA, which knows what models with and without
the image say (Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata

from tinysight.audit.shadows import Logits, Shadows
from tinysight.data.dataset import Labels
from tinysight.runs.findings import Attack, Found

Scores = NDArray[np.float64]
FALSE_ALARMS = (0.001, 0.01)  # shares of non-members taken for members, at which attacks are compared
_RESAMPLES = 500


def certainty(logits: Logits, labels: Labels) -> Scores:
    """Return (..., n): the logarithm of the odds that a model gives the true class; logits are (..., n, classes).

    Unlike a probability near 1, it is close to normally distributed over models.
    """
    exact = logits.astype(np.float64)
    truth = np.expand_dims(np.broadcast_to(labels, exact.shape[:-1]), -1)
    own = np.take_along_axis(exact, truth, axis=-1)
    others = exact.copy()
    np.put_along_axis(others, truth, -np.inf, axis=-1)
    odds: Scores = own[..., 0] - logsumexp(others, axis=-1)
    return odds


def by_loss(logits: Logits, labels: Labels) -> Scores:
    """Score by certainty alone: what a model has learned by heart, it is certain of."""
    return certainty(logits, labels)


def by_loss_and_class(logits: Logits, labels: Labels) -> Scores:
    """Score by how much more certain it is than of the images of that class in general."""
    scores = certainty(logits, labels)
    for label in np.unique(labels):
        own = scores[labels == label]
        spread = np.subtract(*np.percentile(own, [75, 25])) or 1.0
        scores[labels == label] = (own - np.median(own)) / spread
    return scores


def by_likelihood(logits: Logits, shadows: Shadows) -> Scores:
    """Score by how much likelier this certainty is of models that know the image than of models that do not (LiRA).

    Means are those of each image; spreads are of all images together, as few shadows tell little of one image's.
    """
    seen, said = certainty(logits, shadows.labels), certainty(shadows.logits, shadows.labels)
    with_it, without = (_normal(said, known) for known in (shadows.knows, ~shadows.knows))
    return _log_density(seen, *with_it) - _log_density(seen, *without)


def measure(scores: Scores, members: NDArray[np.bool_], seed: int = 0) -> Attack:
    """Return how well scores (n,) tell the `members` (n,) from the others."""
    inside, outside = scores[members], scores[~members]
    auc, deviation = _auc(inside, outside)
    margin = 1.96 * deviation
    random = np.random.default_rng(seed)
    found = tuple(_found(inside, outside, share, random) for share in FALSE_ALARMS)
    return Attack(auc, (max(0.0, auc - margin), min(1.0, auc + margin)), found)


def in_words(attacks: Mapping[str, Attack]) -> str:
    """Say what somebody who may ask the model, and try these attacks, could find out."""
    name, best = max(attacks.items(), key=lambda item: item[1].auc)
    rare = best.found[0]
    if best.interval[0] <= 0.5:
        return (
            "None of the attacks tells the images that this model learned from others better than guessing would: an "
            "outsider who asks it finds out next to nothing about who is in its training images."
        )
    return (
        f"An outsider who may ask this model, and has one image it learned from and one it did not, tells them apart "
        f"{best.auc:.0%} of the time ({name}; guessing would be 50 %). Accusing one in {1 / rare.false_alarms:,.0f} "
        f"strangers wrongly, the attack finds {rare.share:.1%} of the images that it learned from."
    )


def _normal(said: Scores, counted: NDArray[np.bool_]) -> tuple[Scores, float]:
    """Return each image's mean (n,) over the shadows that count, and the spread of all around their means."""
    count = counted.sum(0)
    means: Scores = np.where(counted, said, 0.0).sum(0) / count
    squares = (np.where(counted, said - means, 0.0) ** 2).sum()
    freedom = count.sum() - len(count)
    spread = math.sqrt(squares / freedom) if freedom else float(means.std())
    return means, max(spread, 1e-6)


def _log_density(values: Scores, means: Scores, spread: float) -> Scores:
    density: Scores = -((values - means) ** 2) / (2 * spread**2) - math.log(spread)
    return density


def _auc(inside: Scores, outside: Scores) -> tuple[float, float]:
    """Return the area under the curve and its standard deviation.

    After DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves" (Biometrics 44, 1988), by ranks.
    """
    m, n = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))
    above = (ranks[:m] - rankdata(inside)) / n  # of each member, the share of the others that it exceeds
    below = 1 - (ranks[m:] - rankdata(outside)) / m
    return float(above.mean()), math.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)


def _found(inside: Scores, outside: Scores, false_alarms: float, random: np.random.Generator) -> Found:
    """Return the share of members above the threshold that so many others exceed, with an interval (bootstrap)."""
    resampled = [
        _above(random.choice(inside, len(inside)), random.choice(outside, len(outside)), false_alarms)
        for _ in range(_RESAMPLES)
    ]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Found(false_alarms, _above(inside, outside, false_alarms), (float(low), float(high)))


def _above(inside: Scores, outside: Scores, false_alarms: float) -> float:
    allowed = int(false_alarms * len(outside))
    threshold = np.partition(outside, len(outside) - 1 - allowed)[len(outside) - 1 - allowed]
    return float((inside > threshold).mean())
