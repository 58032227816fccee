from dataclasses import replace

import numpy as np

from tinysight.data.splits import split_dataset
from tinysight.recipes.schema import DataSection


def test_the_split_partitions_the_training_images(dataset):
    files = tuple(f"{i}.png" for i in range(len(dataset.train)))
    images = split_dataset(
        replace(dataset, train=replace(dataset.train, files=files)), DataSection(validation_fraction=0.2), seed=1
    )

    held_back = [int(name.removesuffix(".png")) for name in images.validation.files]
    assert sorted([*images.train_indices, *held_back]) == list(range(200))
    np.testing.assert_array_equal(images.validation.pixels, dataset.train.pixels[held_back])
    np.testing.assert_array_equal(images.validation.labels, dataset.train.labels[held_back])
    assert images.validation.class_counts(4) == [10] * 4


def test_the_split_is_reproducible_and_depends_on_the_seed(dataset):
    learn = [
        split_dataset(dataset, DataSection(validation_fraction=0.2), seed).train_indices.tolist() for seed in (1, 1, 2)
    ]

    assert learn[0] == learn[1] != learn[2]


def test_the_notebooks_split_takes_the_last_fifth(dataset):
    images = split_dataset(dataset, DataSection(split="last-20%"), seed=0)

    assert images.train_indices.tolist() == list(range(160))
    np.testing.assert_array_equal(images.validation.labels, dataset.train.labels[160:])


def test_a_validation_split_of_the_dataset_is_used_unchanged(dataset):
    images = split_dataset(replace(dataset, validation=dataset.test), DataSection(), seed=0)

    assert images.train_indices.tolist() == list(range(200))
    assert images.validation is dataset.test
