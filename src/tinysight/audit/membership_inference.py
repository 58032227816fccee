"""Membership-inference attacks: loss, class-wise loss and LiRA.

Each attack scores images; a higher score means that the image is more likely a training image (member). The loss attack
is that of Yeom et al., "Privacy Risk in Machine Learning" (CSF 2018). The class-wise loss attack normalizes the score
within each class. LiRA compares shadow models trained with and without the image (Carlini et al., "Membership Inference
Attacks From First Principles", S&P 2022).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata

from tinysight._util.formatting import percent
from tinysight.audit.shadow_models import Logits, ShadowModels
from tinysight.data.dataset import Labels
from tinysight.runs.audit_results import MembershipAttack, TprAtFpr

AttackScores = NDArray[np.float64]
FALSE_POSITIVE_RATES = (0.001, 0.01)  # false-positive rates at which attacks are compared
_RESAMPLES = 500


def log_odds(logits: Logits, labels: Labels) -> AttackScores:
    """Return the log-odds of the true class, (..., n), from logits (..., n, classes).

    Over models, the log-odds are close to normally distributed; probabilities near 1 are not.
    """
    exact = logits.astype(np.float64)
    index = np.expand_dims(np.broadcast_to(labels, exact.shape[:-1]), -1)
    true_logits = np.take_along_axis(exact, index, axis=-1)
    others = exact.copy()
    np.put_along_axis(others, index, -np.inf, axis=-1)
    odds: AttackScores = true_logits[..., 0] - logsumexp(others, axis=-1)
    return odds


def loss_attack(logits: Logits, labels: Labels) -> AttackScores:
    """Return the log-odds of the true class, which are higher for memorized images."""
    return log_odds(logits, labels)


def classwise_loss_attack(logits: Logits, labels: Labels) -> AttackScores:
    """Return the log-odds of the true class, centered and scaled within each class (median, interquartile range)."""
    scores = log_odds(logits, labels)
    for label in np.unique(labels):
        in_class = scores[labels == label]
        scale = np.subtract(*np.percentile(in_class, [75, 25])) or 1.0
        scores[labels == label] = (in_class - np.median(in_class)) / scale
    return scores


def lira(logits: Logits, shadows: ShadowModels) -> AttackScores:
    """Return the log-likelihood ratio of the log-odds between shadow models with and without the image (LiRA).

    Means are per image. The variance is pooled over all images, because a few shadow models do not suffice to estimate
    one per image.
    """
    target, shadow = log_odds(logits, shadows.labels), log_odds(shadows.logits, shadows.labels)
    inside, outside = (_fit_normal(shadow, mask) for mask in (shadows.in_mask, ~shadows.in_mask))
    return _log_density(target, *inside) - _log_density(target, *outside)


def evaluate_attack(scores: AttackScores, members: NDArray[np.bool_], seed: int = 0) -> MembershipAttack:
    """Return how well scores, (n,), separate `members`, bool (n,), from the other images."""
    inside, outside = scores[members], scores[~members]
    auc, error = _auc(inside, outside)
    margin = 1.96 * error
    random = np.random.default_rng(seed)
    rates = tuple(_tpr_at_fpr(inside, outside, fpr, random) for fpr in FALSE_POSITIVE_RATES)
    return MembershipAttack(auc, (max(0.0, auc - margin), min(1.0, auc + margin)), rates)


def summarize_attacks(attacks: Mapping[str, MembershipAttack]) -> str:
    """Return the result of the attack with the highest AUC in a sentence or two."""
    name, best = max(attacks.items(), key=lambda item: item[1].auc)
    low_fpr = best.tpr_at_fpr[0]
    if best.interval[0] <= 0.5:
        return (
            "no attack identifies training images better than chance (the 95% interval of the best AUC includes 0.50)"
        )
    return (
        f"the best attack ({name}) ranks a training image above another image with probability {best.auc:.2f} (AUC; "
        f"chance is 0.50). At a false-positive rate of {percent(low_fpr.fpr)}, it identifies "
        f"{percent(low_fpr.tpr)} of the training images"
    )


def _fit_normal(scores: AttackScores, mask: NDArray[np.bool_]) -> tuple[AttackScores, float]:
    """Return each image's mean over the masked models, (n,), and the pooled standard deviation."""
    count = mask.sum(0)
    means: AttackScores = np.where(mask, scores, 0.0).sum(0) / count
    squares = (np.where(mask, scores - means, 0.0) ** 2).sum()
    freedom = count.sum() - len(count)
    deviation = math.sqrt(squares / freedom) if freedom else float(means.std())
    return means, max(deviation, 1e-6)


def _log_density(values: AttackScores, means: AttackScores, deviation: float) -> AttackScores:
    density: AttackScores = -((values - means) ** 2) / (2 * deviation**2) - math.log(deviation)
    return density


def _auc(inside: AttackScores, outside: AttackScores) -> tuple[float, float]:
    """Return the area under the ROC curve and its standard error.

    Method: DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves" (Biometrics 44, 1988), by ranks.
    """
    m, n = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))
    above = (ranks[:m] - rankdata(inside)) / n  # per member, the share of non-members with a lower score
    below = 1 - (ranks[m:] - rankdata(outside)) / m
    return float(above.mean()), math.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)


def _tpr_at_fpr(inside: AttackScores, outside: AttackScores, fpr: float, random: np.random.Generator) -> TprAtFpr:
    """Return the true-positive rate at a false-positive rate, with a 95% bootstrap interval."""
    resampled = [
        _tpr(random.choice(inside, len(inside)), random.choice(outside, len(outside)), fpr) for _ in range(_RESAMPLES)
    ]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return TprAtFpr(fpr, _tpr(inside, outside, fpr), (float(low), float(high)))


def _tpr(inside: AttackScores, outside: AttackScores, fpr: float) -> float:
    allowed = int(fpr * len(outside))
    threshold = np.partition(outside, len(outside) - 1 - allowed)[len(outside) - 1 - allowed]
    return float((inside > threshold).mean())
