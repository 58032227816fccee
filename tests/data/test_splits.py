import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from tinysight._util.errors import DataError
from tinysight.data import splits
from tinysight.data.dataset import Dataset, Split
from tinysight.data.splits import (
    check_class_sizes,
    split_dataset,
    stratified_folds,
    subset,
    train_validation_split,
)
from tinysight.recipes.schema import DataSection

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


def named(n_train=20, n_validation=0, files=True, groups=()):
    """A dataset of two alternating classes, whose images are named t0, t1, ... and v0, v1, ..."""

    def part(letter, n):
        pixels = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 2, 2), np.uint8)
        return Split(pixels, np.arange(n) % 2, tuple(f"{letter}{i}" for i in range(n)) if files else (), groups)

    validation = part("v", n_validation) if n_validation else None
    return Dataset("pets", part("t", n_train), part("e", 4), ("cat", "dog"), "here", validation=validation)


def excluding(tmp_path, *names):
    path = tmp_path / "excluded.csv"
    path.write_text("image\n" + "".join(f"{name}\n" for name in names))
    return DataSection(exclude_file=str(path))


def test_validation_images_are_split_off_the_training_images():
    dataset = named()
    split = split_dataset(dataset, DataSection(split="last-20%"), seed=0)
    assert split.train is dataset.train
    assert split.train_indices.tolist() == list(range(16))
    assert split.validation.files == ("t16", "t17", "t18", "t19")
    assert split.validation.pixels[:, 0, 0, 0].tolist() == [16, 17, 18, 19]
    assert split.validation.labels.tolist() == [0, 1, 0, 1]


def test_the_recipe_and_the_seed_determine_the_stratified_split():
    data = DataSection(validation_fraction=0.3)
    split = split_dataset(named(), data, seed=7)
    train, validation = train_validation_split(named(), "stratified", 0.3, 7)
    assert split.train_indices.tolist() == train.tolist()
    assert split.validation.files == tuple(f"t{index}" for index in validation)
    assert len(split.validation) == 6


def test_the_validation_split_of_a_dataset_is_used():
    dataset = named(n_validation=6)
    split = split_dataset(dataset, DataSection(), seed=0)
    assert split.train_indices.tolist() == list(range(20))
    assert split.validation is dataset.validation


@pytest.mark.parametrize("files", [True, False])
def test_excluded_images_leave_both_sides_and_move_no_other_image(tmp_path, files):
    dataset = named(files=files)
    before = split_dataset(dataset, DataSection(), seed=3)
    held_out = before.validation.pixels[:, 0, 0, 0].tolist()
    excluded = [int(before.train_indices[0]), held_out[-1]]
    ids = [f"t{index}" if files else f"train/{index}" for index in excluded]
    after = split_dataset(dataset, excluding(tmp_path, *ids), seed=3)
    assert after.train_indices.tolist() == before.train_indices.tolist()[1:]
    assert after.validation.pixels[:, 0, 0, 0].tolist() == held_out[:-1]


def test_excluded_images_of_a_validation_split_are_removed(tmp_path):
    split = split_dataset(named(n_validation=6), excluding(tmp_path, "t3", "v0"), seed=0)
    assert 3 not in split.train_indices
    assert split.validation.files == ("v1", "v2", "v3", "v4", "v5")


@pytest.mark.parametrize("names", [[f"t{i}" for i in range(20)], [f"v{i}" for i in range(2)]])
def test_a_side_without_images_is_refused(tmp_path, names):
    data = excluding(tmp_path, *names)
    with pytest.raises(DataError) as refusal:
        split_dataset(named(n_validation=2), data, seed=0)
    assert str(refusal.value) == f"{data.exclude_file}: no training or no validation images are left. Exclude fewer."


def test_unknown_excluded_images_are_refused(tmp_path):
    data = excluding(tmp_path, "t3", "t99")
    with pytest.raises(DataError) as refusal:
        split_dataset(named(), data, seed=0)
    assert str(refusal.value) == f"{data.exclude_file}: images not in pets: t99. Remove these lines."


def test_a_subset_keeps_files_and_groups():
    dataset = named(4, groups=tuple("aabb"))
    part = subset(dataset.train, np.array([3, 0]))
    assert (part.files, part.groups, part.labels.tolist()) == (("t3", "t0"), ("b", "a"), [1, 0])
    assert part.pixels[:, 0, 0, 0].tolist() == [3, 0]
    assert (subset(named(4, files=False).train, np.array([1])).files) == ()


def test_a_split_in_order_that_divides_a_group_is_refused():
    dataset = named(10, groups=tuple("aabbccddee"))
    assert train_validation_split(dataset, "last-20%")[1].tolist() == [8, 9]
    divided = named(10, groups=tuple("aabbccdeeb"))
    with pytest.raises(DataError) as refusal:
        train_validation_split(divided, "last-20%")
    assert str(refusal.value) == (
        "Group b: the split last-20% would put its images on both sides. Use the stratified split."
    )


@pytest.mark.parametrize(
    ("labels", "has_validation", "message"),
    [
        ([0, 0, 0, 1, 1, 1], False, None),
        ([0, 0, 1, 1], True, None),
        (
            [0, 0, 0, 1, 1],
            False,
            "Class dog: 2 usable images, but 3 are needed, one each for train, validation and test.",
        ),
        ([0, 0, 0, 1], False, "Class dog: 1 usable image, but 3 are needed, one each for train, validation and test."),
        ([1, 1, 1], False, "Class cat: 0 usable images, but 3 are needed, one each for train, validation and test."),
        ([0, 1, 1], True, "Class cat: 1 usable image, but 2 are needed, one each for train and test."),
    ],
)
def test_each_class_needs_an_image_for_each_split(labels, has_validation, message):
    images = [(label, str(index)) for index, label in enumerate(labels)]
    if message is None:
        check_class_sizes(images, ("cat", "dog"), has_validation)
    else:
        with pytest.raises(DataError) as refusal:
            check_class_sizes(images, ("cat", "dog"), has_validation)
        assert str(refusal.value) == f"{message} Add images or remove the class."


def test_groups_are_counted_once():
    images = [(0, "a"), (0, "a"), (0, "b"), (0, "b")]
    check_class_sizes(images, ("cat",), True, unit="group")
    with pytest.raises(DataError, match=r"Class cat: 2 usable groups, but 3 are needed"):
        check_class_sizes(images, ("cat",), False, unit="group")


@given(
    labels=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=6, max_size=40),
    folds=st.integers(2, 5),
    seed=st.integers(0, 2**62),
)
def test_folds_of_several_labels_divide_the_images_and_keep_groups_whole(labels, folds, seed):
    groups = np.arange(len(labels)) // 2
    parts = stratified_folds(np.array(labels, dtype=np.int64), groups, folds, seed)
    assert len(parts) == folds
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    assert sum(len(set(groups[part])) for part in parts) == len(set(groups))


@pytest.mark.parametrize("seed", range(3))
def test_folds_of_several_labels_have_the_same_number_of_each(seed):
    random = np.random.default_rng(seed)
    labels = (random.random((303, 5)) < [0.02, 0.1, 0.3, 0.5, 0.8]).astype(np.int64)
    labels[:, 1] |= labels[:, 0]  # two labels that occur together
    parts = stratified_folds(labels, range(303), 5, seed)
    counts = np.array([[*labels[part].sum(0), (~labels[part].any(1)).sum()] for part in parts])
    assert (counts.max(0) - counts.min(0)).max() <= 2
    assert all(abs(len(part) - 303 / 5) <= 6 for part in parts)
    assert set(stratified_folds(labels, range(303), 5, seed + 1)[0]) != set(parts[0])
