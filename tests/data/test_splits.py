import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from tinysight._util.errors import DataError
from tinysight.data import splits
from tinysight.data.dataset import Dataset, Split

CLASS_SIZES = st.lists(st.integers(2, 60), min_size=2, max_size=6)
FRACTIONS = st.floats(0.01, 0.99)


def labels_of(class_sizes):
    return np.random.default_rng(1).permutation(np.repeat(np.arange(len(class_sizes)), class_sizes))


def dataset_of(labels):
    part = Split(np.zeros((len(labels), 3, 1, 1), np.uint8), np.asarray(labels, np.int64))
    names = tuple(f"kind-{number}" for number in range(10))
    return Dataset("test", part, part, names, "synthetic")


@settings(deadline=None)
@given(CLASS_SIZES, FRACTIONS, st.integers(0, 2**32))
def test_sides_partition_the_images_and_contain_every_class(class_sizes, fraction, seed):
    labels = labels_of(class_sizes)
    kept, held = splits.stratified_split(labels, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert list(kept) == sorted(kept)
    assert list(held) == sorted(held)
    assert set(labels[kept]) == set(labels[held]) == set(range(len(class_sizes)))


@settings(deadline=None)
@given(CLASS_SIZES, FRACTIONS)
def test_each_class_contributes_the_rounded_fraction(class_sizes, fraction):
    labels = labels_of(class_sizes)
    _, held = splits.stratified_split(labels, fraction, seed=0)
    for count, size in zip(np.bincount(labels[held]), class_sizes, strict=True):
        assert abs(count - fraction * size) <= 0.5 or count in (1, size - 1)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_counts_equal_those_of_scikit_learn(fraction):
    labels = labels_of([100, 30, 250, 20])
    kept, held = splits.stratified_split(labels, fraction, seed=0)
    theirs = next(StratifiedShuffleSplit(1, test_size=fraction, random_state=0).split(labels, labels))
    for ours, reference in zip((kept, held), theirs, strict=True):
        np.testing.assert_array_equal(np.bincount(labels[ours]), np.bincount(labels[reference]))


def test_the_seed_determines_the_split():
    labels = labels_of([50, 50])
    first, repeated, different = (splits.stratified_split(labels, 0.2, seed)[1] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, repeated)
    assert set(first) != set(different)


def test_stratified_split_holds_out_ten_percent_by_default():
    dataset = dataset_of(np.repeat(np.arange(10), 50))
    train, validation = splits.train_validation_split(dataset, "stratified")
    assert np.bincount(dataset.train.labels[validation]).tolist() == [5] * 10
    assert len(train) == 450


def test_last_fifth_equals_the_split_of_keras():
    train, validation = splits.train_validation_split(dataset_of(np.zeros(50_003)), "last-20%")
    # Keras splits at floor(n * (1 - validation_split)).
    assert train.tolist() == list(range(40_002))
    assert validation.tolist() == list(range(40_002, 50_003))


def test_first_ten_thousand_are_the_validation_images():
    train, validation = splits.train_validation_split(dataset_of(np.zeros(12_000)), "first-10000")
    assert validation.tolist() == list(range(10_000))
    assert train.tolist() == list(range(10_000, 12_000))


@pytest.mark.parametrize(("how", "count"), [("first-10000", 10_000), ("last-20%", 0)])
def test_a_split_with_an_empty_side_is_an_error(how, count):
    with pytest.raises(DataError, match=f"^{count} training images: this split leaves one side empty"):
        splits.train_validation_split(dataset_of(np.zeros(count)), how)


def test_a_class_with_one_image_is_an_error():
    with pytest.raises(DataError, match="kind-2: one training image"):
        splits.train_validation_split(dataset_of([0, 0, 1, 1, 2]), "stratified")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_outside_0_to_1_is_an_error(fraction):
    with pytest.raises(DataError, match="between 0 and 1"):
        splits.stratified_split(labels_of([5, 5]), fraction, seed=0)


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=120),
    fraction=st.sampled_from([0.1, 0.2, 0.5]),
    seed=st.integers(0, 5),
)
def test_groups_are_held_out_whole_and_every_class_is_on_both_sides(rows, fraction, seed):
    labels, groups = np.array([label for label, _ in rows]), [str(group) for _, group in rows]
    try:
        kept, held = splits.grouped_split(labels, groups, fraction, seed)
    except DataError:
        groups_by_class = [{group for group, own in zip(groups, labels, strict=True) if own == k} for k in set(labels)]
        event(f"refused with {min(map(len, groups_by_class))} groups in a class")
        return
    assert sorted([*kept, *held]) == [*range(len(rows))]
    assert not {groups[index] for index in kept} & {groups[index] for index in held}
    assert set(labels[kept]) == set(labels[held]) == set(labels)


@pytest.mark.parametrize("size", [1, 5])
def test_groups_of_one_class_hold_out_the_wanted_fraction_of_each(size):
    labels = np.repeat([0, 1, 2], [100, 200, 700])
    groups = [str(index // size) for index in range(1000)]
    kept, held = splits.grouped_split(labels, groups, 0.2, seed=0)
    assert np.bincount(labels[held]).tolist() == [20, 40, 140]
    again, other = (splits.grouped_split(labels, groups, 0.2, seed)[1] for seed in (0, 1))
    assert np.array_equal(held, again)
    assert not np.array_equal(held, other)
    assert len(kept) == 800


def test_two_groups_that_both_have_every_class_are_split():
    kept, held = splits.grouped_split(np.array([0, 1, 0, 1]), "aabb", 0.5, seed=0)
    assert sorted([kept.tolist(), held.tolist()]) == [[0, 1], [2, 3]]


@pytest.mark.parametrize(("labels", "groups"), [([0, 0, 1, 1], "aaab"), ([0, 1, 0, 1], "abab"), ([0, 1], "aa")])
def test_a_class_in_too_few_groups_is_an_error(labels, groups):
    with pytest.raises(DataError, match=r"Class (cat|dog): too few groups to split, because groups stay whole"):
        splits.grouped_split(np.array(labels), groups, 0.5, seed=0, class_names=("cat", "dog"))


def test_many_small_groups_are_always_split():
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 5, 300)
        kept, held = splits.grouped_split(labels, [str(index // 3) for index in range(300)], 0.1, seed)
        assert set(labels[kept]) == set(labels[held]) == set(range(5))
        assert 20 <= len(held) <= 45
