"""Audit section: membership-inference attacks with the loss, the class-wise loss and LiRA.

Each attack scores images; a higher score means that the image is more likely a training image (member). The loss attack
is that of Yeom et al., "Privacy Risk in Machine Learning" (CSF 2018). The class-wise loss attack normalizes the score
within each class. LiRA compares shadow models trained with and without the image (Carlini et al., "Membership Inference
Attacks From First Principles", S&P 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata

from tinysight._util.formatting import percent, percent_interval
from tinysight._util.progress import Progress
from tinysight.auditing.context import AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.auditing.shadow_models import Logits, ShadowModels, float32_logits
from tinysight.data.dataset import Labels
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.reporting.section import Cell, ListedImage, Row, Table
from tinysight.runs.records import Interval

AttackScores = NDArray[np.float64]
FALSE_POSITIVE_RATES = (0.001, 0.01)  # false-positive rates at which attacks are compared
_RESAMPLES = 500
_MAX_EXPOSED = 20  # images listed by name


@dataclass(frozen=True)
class TprAtFpr:
    """The true positive rate of an attack at a fixed false positive rate, with its interval."""

    fpr: float
    tpr: float
    interval: Interval


@dataclass(frozen=True)
class MembershipAttack:
    """Performance of one membership-inference attack.

    Attributes:
        auc: probability that a member scores higher than a non-member; 0.5 is chance.
        interval: of the AUC.
        tpr_at_fpr: the true positive rates at several false positive rates.
    """

    auc: float
    interval: Interval
    tpr_at_fpr: tuple[TprAtFpr, ...]


@dataclass(frozen=True)
class MembershipInference:
    """Membership inference: how well query access reveals the training images.

    Attributes:
        n_shadow_models: number of shadow models.
        n_members, n_non_members: numbers of training images and of other images that the attacks score.
        attacks: by name.
        most_exposed: IDs of the members with the highest scores of the best attack, sorted by score.
    """

    n_shadow_models: int
    n_members: int
    n_non_members: int
    attacks: dict[str, MembershipAttack]
    most_exposed: tuple[str, ...]


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
    random = np.random.default_rng(seed)
    rates = tuple(_tpr_at_fpr(inside, outside, fpr, random) for fpr in FALSE_POSITIVE_RATES)
    return MembershipAttack(auc, _auc_interval(auc, error, min(len(inside), len(outside))), rates)


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


def _auc_interval(auc: float, error: float, n: int) -> Interval:
    """Return the 95% interval of an area from its standard error, and that of a share of n for areas of 0 and 1."""
    if error == 0:
        return wilson_interval(round(auc * n), n)
    return max(0.0, auc - 1.96 * error), min(1.0, auc + 1.96 * error)


def _tpr_at_fpr(inside: AttackScores, outside: AttackScores, fpr: float, random: np.random.Generator) -> TprAtFpr:
    """Return the true-positive rate at a false-positive rate, with its 95% interval.

    The bootstrap covers the draw of the threshold. For rates of 0 and 1 it has no width, so the interval also includes
    the Wilson interval, which covers the draw of the members.
    """
    resampled = [
        _tpr(random.choice(inside, len(inside)), random.choice(outside, len(outside)), fpr) for _ in range(_RESAMPLES)
    ]
    low, high = np.percentile(resampled, [2.5, 97.5])
    rate, n = _tpr(inside, outside, fpr), len(inside)
    wilson_low, wilson_high = wilson_interval(round(rate * n), n)
    return TprAtFpr(fpr, rate, (min(float(low), wilson_low), max(float(high), wilson_high)))


def _tpr(inside: AttackScores, outside: AttackScores, fpr: float) -> float:
    allowed = int(fpr * len(outside))
    threshold = np.partition(outside, len(outside) - 1 - allowed)[len(outside) - 1 - allowed]
    return float((inside > threshold).mean())


class MembershipInferenceSection(AuditSection[MembershipInference]):
    """How well query access to the classifier reveals its training images."""

    name = "membership"
    heading = "membership inference"
    order, cost = 70, 70
    requires = "shadow_models"
    instead = "compare the losses of training and validation images in the learning curves"
    result_type = MembershipInference

    def compute(self, context: AuditContext, progress: Progress) -> MembershipInference:
        """Attack the classifier with three attacks."""
        shadows = context.require_shadow_models()
        logits = float32_logits(context.classifier, context.pool)
        scores = {
            "loss": loss_attack(logits, shadows.labels),
            "class-wise loss": classwise_loss_attack(logits, shadows.labels),
            "LiRA": lira(logits, shadows),
        }
        exposed = np.argsort(-np.where(context.is_member, scores["LiRA"], -np.inf), kind="stable")[:_MAX_EXPOSED]
        return MembershipInference(
            n_shadow_models=len(shadows),
            n_members=int(context.is_member.sum()),
            n_non_members=int((~context.is_member).sum()),
            attacks={name: evaluate_attack(values, context.is_member) for name, values in scores.items()},
            most_exposed=tuple(context.names[index] for index in exposed),
        )

    def summarize(self, result: MembershipInference) -> str:
        """Return the result of the attack with the highest AUC."""
        name, best = max(result.attacks.items(), key=lambda item: item[1].auc)
        auc = f"AUC {best.auc:.2f}, 95% CI {best.interval[0]:.2f} to {best.interval[1]:.2f}"
        n = f"n = {result.n_members:,} training images and {result.n_non_members:,} others"
        if best.interval[0] <= 0.5:
            return f"no attack is better than chance (best: {name}, {auc}; 0.50 is chance; {n})"
        low_fpr = best.tpr_at_fpr[0]
        return (
            f"best attack: {name}, {auc} (0.50 is chance); it identifies {percent(low_fpr.tpr)} of the training images "
            f"at a false-positive rate of {percent(low_fpr.fpr)} ({n})"
        )

    def rows(self, result: MembershipInference, limit: int) -> tuple[Table, ...]:
        """Return the attacks, and the training images with the highest LiRA scores."""
        rates = next(iter(result.attacks.values())).tpr_at_fpr
        attacks = tuple(
            Row(
                (
                    Cell(name),
                    Cell(f"{attack.auc:.3f}", f"{attack.interval[0]:.3f} to {attack.interval[1]:.3f}"),
                    *(Cell(percent(rate.tpr), percent_interval(rate.interval)) for rate in attack.tpr_at_fpr),
                )
            )
            for name, attack in result.attacks.items()
        )
        note = (
            f"{result.n_shadow_models} shadow models; {result.n_members:,} training images and "
            f"{result.n_non_members:,} others. TPR and FPR: true- and false-positive rate."
        )
        columns = ("attack", "AUC", *(f"TPR at {percent(rate.fpr)} FPR" for rate in rates))
        exposed = tuple(Row(images=(ListedImage(image),)) for image in result.most_exposed[:limit])
        return (
            Table(columns, attacks[:limit], len(attacks), "attacks", note),
            Table(
                (),
                exposed,
                len(result.most_exposed),
                "images in audit.json",
                heading="training images with the highest LiRA scores",
            ),
        )
