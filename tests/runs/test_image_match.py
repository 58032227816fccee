"""A run and a dataset that grew, shrank, was relabeled or reordered, compared image by image."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight._util.errors import RunError
from tinysight.data.dataset import Dataset, Split
from tinysight.data.splits import split_dataset
from tinysight.recipes.schema import DataSection
from tinysight.runs.image_index import ImageIndex
from tinysight.runs.image_match import ImageMatch

CLASSES = ("cat", "dog", "fox")
SECTION = DataSection(validation_fraction=0.25)


def split_of(values, labels=None, **fields):
    """Return a split of one-colored images of these values."""
    values = np.asarray(values, dtype=np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(values[:, None, None, None], (len(values), 3, 4, 4)))
    return Split(pixels, values.astype(np.int64) % 3 if labels is None else np.asarray(labels), **fields)


def dataset_of(train, test, **fields):
    return Dataset("pets", split_of(train), split_of(test), CLASSES, "synthetic", **fields)


@pytest.fixture
def dataset():
    return dataset_of(range(24), range(100, 109))


@pytest.fixture
def index(dataset):
    return ImageIndex.of(dataset, split_dataset(dataset, SECTION, seed=3))


def values(split):
    return split.pixels[:, 0, 0, 0].tolist()


def uses(index):
    return {use: set(np.flatnonzero(index.used_for(use))) for use in ("train", "validation", "test", "left out")}


def test_index_knows_the_use_of_every_image(dataset, index):
    images = split_dataset(dataset, SECTION, seed=3)
    expected = {"train": set(images.train_indices), "validation": set(values(images.validation))}
    assert uses(index) == expected | {"test": set(range(24, 33)), "left out": set()}


def test_images_of_a_validation_split_and_excluded_images_are_indexed(dataset, tmp_path):
    divided = replace(dataset, validation=split_of([50, 51, 52]))
    excluded = tmp_path / "excluded.csv"
    excluded.write_text("image\ntrain/5\nvalidation/1\n")
    section = SECTION.model_copy(update={"exclude_file": str(excluded)})
    found = uses(ImageIndex.of(divided, split_dataset(divided, section, seed=3)))
    assert found["left out"] == {5, 25}
    assert found["validation"] == {24, 26}
    assert found["train"] == set(range(24)) - {5}
    assert found["test"] == set(range(27, 36))


def with_names(dataset):
    train = replace(dataset.train, files=tuple(f"caf\N{LATIN SMALL LETTER E WITH ACUTE}/{i}" for i in range(24)))
    test = replace(dataset.test, files=tuple(f"t/{i}" for i in range(9)))
    train, test = replace(train, groups=tuple(str(i // 2) for i in range(24))), replace(test, groups=("",) * 9)
    return replace(dataset, train=train, test=test)


@pytest.mark.parametrize("change", [lambda dataset: dataset, with_names])
def test_index_is_read_as_written(dataset, tmp_path, change):
    changed = change(dataset)
    index = ImageIndex.of(changed, split_dataset(changed, SECTION, seed=3))
    index.write(tmp_path / "index")
    read = ImageIndex.read(tmp_path / "index")
    for name in ("checksums", "labels", "uses"):
        np.testing.assert_array_equal(getattr(read, name), getattr(index, name))
    assert replace(read, checksums=0, labels=0, uses=0) == replace(index, checksums=0, labels=0, uses=0)


def test_damaged_index_is_refused(index, tmp_path):
    path = tmp_path / "index"
    index.write(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="modified after it was written"):
        ImageIndex.read(path)


@given(st.permutations(range(24)), st.permutations(range(100, 109)), st.booleans())
def test_images_sorted_anew_give_the_dataset_of_the_run(train, test, swaps):
    dataset = dataset_of(range(24), range(100, 109))
    index = ImageIndex.of(dataset, split_dataset(dataset, SECTION, seed=3))
    moved = dataset_of(test, train) if swaps else dataset_of(train, test)
    match = ImageMatch.find(index, moved)
    assert (match.is_own, match.is_complete, match.differences()) == (True, True, "")
    assert match.dataset_of_run().fingerprint == dataset.fingerprint


def test_groups_and_validation_split_are_restored(dataset):
    grouped = replace(
        dataset,
        train=replace(dataset.train, groups=tuple(f"g{i // 2}" for i in range(24))),
        validation=split_of([50, 51, 52], groups=("x", "x", "y")),
        test=replace(dataset.test, groups=("z",) * 9),
    )
    index = ImageIndex.of(grouped, split_dataset(grouped, SECTION, seed=3))
    flat = dataset_of([*range(108, 99, -1), 52, 51, 50], range(24))
    assert ImageMatch.find(index, flat).dataset_of_run().fingerprint == grouped.fingerprint


@given(
    st.sets(st.integers(0, 23), max_size=8), st.sets(st.integers(100, 108), max_size=4), st.sets(st.integers(200, 230))
)
def test_known_images_keep_their_use(removed_train, removed_test, new):
    dataset = dataset_of(range(24), range(100, 109))
    images = split_dataset(dataset, SECTION, seed=3)
    index = ImageIndex.of(dataset, images)
    kept = [value for value in (*range(24), *range(100, 109), *new) if value not in removed_train | removed_test]
    match = ImageMatch.find(index, dataset_of(kept[::2], kept[1::2]))
    assert match.is_own
    assert match.is_complete == (not removed_train and not removed_test)
    restored = match.dataset_of_run()
    if match.is_complete:
        assert restored.fingerprint == dataset.fingerprint
    else:
        assert set(values(restored.train)) == set(images.train_indices) - removed_train
        assert set(values(restored.validation)) == set(values(images.validation)) - removed_train
        assert set(values(restored.test)) == set(range(100, 109)) - removed_test
    assert set(values(match.new_images())) == new
    assert len(match.missing) == len(removed_train | removed_test)


def test_differences_are_counted_and_named(index):
    labels = np.arange(100, 109) % 3
    labels[4] = (labels[4] + 1) % 3
    changed = dataset_of([*range(2, 24), 200, 201, 202, 203], [])
    match = ImageMatch.find(index, replace(changed, test=split_of(range(100, 109), labels)))
    assert match.differences() == (
        "images differ: 4 new (train/22, train/23, train/24, and 1 more), 2 missing (train/0, train/1), "
        "1 with another label (test/4)"
    )
    np.testing.assert_array_equal(match.dataset_of_run().test.labels, np.arange(100, 109) % 3)


def test_copies_of_known_images_are_not_new(index):
    match = ImageMatch.find(index, dataset_of([*range(24), 5, 5, 100], range(100, 109)))
    assert match.differences() == "images differ: 3 more copies (train/24, train/25, test/0)"
    assert len(match.new) == 0


def test_equal_images_are_paired_by_label():
    twice = replace(dataset_of(range(6), range(100, 103)), train=split_of([7] * 6, [0, 0, 1, 1, 2, 2]))
    index = ImageIndex.of(twice, split_dataset(twice, SECTION, seed=3))
    shuffled = replace(twice, train=split_of([7] * 6, [2, 1, 0, 0, 1, 2]))
    match = ImageMatch.find(index, shuffled)
    assert match.differences() == ""
    assert Counter(match.dataset_of_run().train.labels.tolist()) == {0: 2, 1: 2, 2: 2}


@pytest.mark.parametrize(
    ("train", "is_own"),
    [
        (range(200, 224), False),
        ([*range(200, 224), 5], False),  # another dataset with a copy of a training image
        (range(12), True),  # half of the images
        ([1, 2, 3, 4], True),  # few, but nothing else
        ([*range(24), *range(110, 220)], True),  # all of them, and many more
    ],
)
def test_own_dataset_is_recognized(index, train, is_own):
    assert ImageMatch.find(index, dataset_of(train, [])).is_own == is_own


def test_classes_are_compared_by_name(dataset, index):
    renamed = replace(
        dataset_of([0, 1, 2, 200], [100]),
        class_names=("ant", "cat", "dog", "fox"),
        train=split_of([0, 1, 2, 200], [1, 2, 3, 0]),
        test=split_of([100], [2]),
    )
    match = ImageMatch.find(index, renamed)
    assert len(match.relabeled) == 0
    assert len(match.new) == 1
    assert match.dataset_of_run().class_names == CLASSES


def test_images_that_the_run_was_trained_on_are_removed_from_another_dataset(dataset, index):
    images = split_dataset(dataset, SECTION, seed=3)
    trained, validated = int(images.train_indices[0]), values(images.validation)[0]
    other = dataset_of([200, trained, 201, trained], [202, validated, 100])
    unseen, n_removed = ImageMatch.find(index, other).without_trained()
    assert (values(unseen.train), values(unseen.test), n_removed) == ([200, 201], [202, 100], 3)


def with_several_labels(split):
    """Return a split whose image i has the labels in the binary digits of i."""
    bits = [[value >> label & 1 for label in range(3)] for value in values(split)]
    return replace(split, labels=np.array(bits, dtype=np.int64))


def test_images_with_several_labels_are_found_with_their_labels(tmp_path, dataset):
    several = replace(dataset, train=with_several_labels(dataset.train), test=with_several_labels(dataset.test))
    ImageIndex.of(several, split_dataset(several, SECTION, seed=3)).write(tmp_path / "images.safetensors")
    index = ImageIndex.read(tmp_path / "images.safetensors")

    # The same labels, in another order; image 5 has lost one; images 200 and 201 are new.
    names, order = ("fox", "cat", "dog"), np.array([2, 0, 1])
    grown = with_several_labels(split_of([*reversed(range(24)), 200, 201]))
    reordered = grown.labels[:, order]
    reordered[grown.pixels[:, 0, 0, 0] == 5, 0] = 0
    other = Dataset(
        "pets",
        replace(grown, labels=reordered),
        replace(several.test, labels=several.test.labels[:, order]),
        names,
        "new",
    )

    match = ImageMatch.find(index, other)
    assert match.is_complete
    assert (match.relabeled.tolist(), len(match.new)) == ([5], 2)
    assert match.dataset_of_run().fingerprint == several.fingerprint


def test_groups_of_one_split_only_are_kept(dataset, tmp_path):
    """Near-duplicates are kept together within the training images if the test images are given."""
    groups = tuple(f"group {number // 2}" for number in range(24))
    grouped = replace(dataset, train=replace(dataset.train, groups=groups))
    ImageIndex.of(grouped, split_dataset(grouped, SECTION, seed=3)).write(tmp_path / "images.safetensors")
    match = ImageMatch.find(ImageIndex.read(tmp_path / "images.safetensors"), dataset)
    assert match.dataset_of_run().fingerprint == grouped.fingerprint
