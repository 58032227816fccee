"""What audit.json holds: everything that was found out about how far a run can be trusted. Data alone.

A section that is None was not measured, and whoever tells of it says so. Intervals are 95 %, (low, high).
"""

from __future__ import annotations

from dataclasses import dataclass

from tinysight.runs.records import Record

Interval = tuple[float, float]


@dataclass(frozen=True)
class Robustness:
    """Accuracy on corrupted images.

    Attributes:
        n: how many images were corrupted, each in every way.
        clean: accuracy on them as they are.
        accuracy: by corruption, in severities 1 to 5.
    """

    n: int
    clean: float
    accuracy: dict[str, tuple[float, ...]]

    @property
    def means(self) -> dict[str, float]:
        """Mean accuracy of each corruption over its severities."""
        return {name: sum(values) / len(values) for name, values in self.accuracy.items()}

    @property
    def mean(self) -> float:
        """Mean accuracy over all corruptions and severities."""
        return sum(self.means.values()) / len(self.accuracy)


@dataclass(frozen=True)
class Strangeness:
    """How well images of none of the classes are told from others by how unsure the classifier is.

    Attributes:
        n: how many images of the classes were held against as many strange ones of each kind.
        auroc: by kind of strange image: the chance that one of them looks stranger than one of the others; .5 is blind.
    """

    n: int
    auroc: dict[str, float]


@dataclass(frozen=True)
class Pair:
    """Two images that are nearly the same: their names, how much they differ (0 is not at all), whether mirrored."""

    first: str
    second: str
    difference: float
    mirrored: bool


@dataclass(frozen=True)
class Duplicates:
    """Near-twins among the images.

    Attributes:
        within: by split, how many pairs lie within it.
        across: how many test images have a twin among the images that could be learned from.
        test: how many test images there are.
        accuracy: on all test images, with its interval.
        accuracy_without: on those without such a twin.
        pairs: some, the most alike first; those across splits before the others.
    """

    within: dict[str, int]
    across: int
    test: int
    accuracy: tuple[float, Interval]
    accuracy_without: tuple[float, Interval]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Suspect:
    """An image whose label is likely to be wrong, the class that is likelier, and how good its label looks, 0..1."""

    image: str
    label: str
    likelier: str
    quality: float


@dataclass(frozen=True)
class WrongLabels:
    """Labels that are likely to be wrong.

    Attributes:
        shadows: how many models had a say; an image is judged by those that did not learn from it.
        n: how many labels were looked at.
        found: by split, how many are likely to be wrong.
        suspects: all of them, the likeliest first.
    """

    shadows: int
    n: int
    found: dict[str, int]
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True)
class Gap:
    """One figure of one group, beside that of all other images.

    Attributes:
        column, group: what its images have in common.
        figure: "accuracy"; "missed", the share of images of a class that are told another (false negatives); or
            "mistaken", the share of images of other classes that are told this one (false positives).
        class_name: the class in question, "" for accuracy.
        n: images that the figure is a share of.
        share, interval: the figure (bootstrap).
        others: the same of all images that are not in the group.
        p: how often so large a gap comes by chance, corrected for how many were looked at (Holm).
        alarm: whether that is rare enough to call it one.
    """

    column: str
    group: str
    figure: str
    class_name: str
    n: int
    share: float
    interval: Interval
    others: float
    p: float
    alarm: bool

    @property
    def gap(self) -> float:
        """The figure less that of the others."""
        return self.share - self.others


@dataclass(frozen=True)
class Found:
    """The share of members that an attack finds when it takes so many of the others for members."""

    false_alarms: float
    share: float
    interval: Interval


@dataclass(frozen=True)
class Attack:
    """How well one attack tells the images that a model learned from others.

    Attributes:
        auc: the chance that a member scores higher than another image; .5 is guessing.
        interval: of that.
        found: at several shares of false alarms.
    """

    auc: float
    interval: Interval
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Membership:
    """What an outsider who may ask the model can find out of whether an image was learned from.

    Attributes:
        shadows: how many models were trained to compare with.
        members, others: how many images were in question.
        attacks: by name.
        exposed: names of the members that the best attack is surest of, the surest first.
        words: what that comes to.
    """

    shadows: int
    members: int
    others: int
    attacks: dict[str, Attack]
    exposed: tuple[str, ...]
    words: str


class Audit(Record):
    """audit.json; `gaps` are between groups that every image has, `groups` between those that somebody named."""

    weights_sha256: str
    robustness: Robustness | None = None
    strangers: Strangeness | None = None
    duplicates: Duplicates | None = None
    gaps: tuple[Gap, ...] | None = None
    groups: tuple[Gap, ...] | None = None
    labels: WrongLabels | None = None
    membership: Membership | None = None


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same images.

    Attributes:
        first, second: their names.
        only_first, only_second: how many images only the one, or only the other, gets right.
        difference: accuracy of the first less that of the second.
        interval: of the difference, 95 %.
        p: how often two classifiers that are equally good differ as much by chance (McNemar, exact).
        p_corrected: the same, corrected for how many pairs were compared (Holm).
    """

    first: str
    second: str
    only_first: int
    only_second: int
    difference: float
    interval: Interval
    p: float
    p_corrected: float


@dataclass(frozen=True)
class Certainty:
    """Mean probability of the true class, before and after, on images that were forgotten and on others never seen."""

    forgotten_before: float
    forgotten_after: float
    unseen_before: float
    unseen_after: float


class Forgetting(Record):
    """forgetting.json: what became of a run when it was trained again without some images.

    Attributes:
        forgotten: names of the images that are left out now and were not before.
        weights_before, weights_after: SHA-256 of the weights.
        images_before, images_after: SHA-256 of all images that were learned from, with their labels.
        learned_before, learned_after: how many these are.
        test: how many test images both were held against.
        accuracy_before, accuracy_after: on them.
        difference: accuracy after less before, with its interval.
        certainty: how sure both are of the forgotten images, and of images that neither has seen.
    """

    forgotten: tuple[str, ...]
    weights_before: str
    weights_after: str
    images_before: str
    images_after: str
    learned_before: int
    learned_after: int
    test: int
    accuracy_before: float
    accuracy_after: float
    difference: tuple[float, Interval]
    certainty: Certainty
