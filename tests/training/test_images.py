from dataclasses import replace

import numpy as np

from tinysight.recipes.schema import Data
from tinysight.training.images import cut


def test_the_split_partitions_the_training_images(dataset):
    files = tuple(f"{i}.png" for i in range(len(dataset.train)))
    images = cut(replace(dataset, train=replace(dataset.train, files=files)), Data(validation=0.2), seed=1)

    held_back = [int(name.removesuffix(".png")) for name in images.validation.files]
    assert sorted([*images.learn, *held_back]) == list(range(200))
    np.testing.assert_array_equal(images.validation.pixels, dataset.train.pixels[held_back])
    np.testing.assert_array_equal(images.validation.labels, dataset.train.labels[held_back])
    assert images.validation.counts(4) == [10] * 4


def test_the_split_is_reproducible_and_depends_on_the_seed(dataset):
    learn = [cut(dataset, Data(validation=0.2), seed).learn.tolist() for seed in (1, 1, 2)]

    assert learn[0] == learn[1] != learn[2]


def test_the_notebooks_split_takes_the_last_fifth(dataset):
    images = cut(dataset, Data(split="last-20%"), seed=0)

    assert images.learn.tolist() == list(range(160))
    np.testing.assert_array_equal(images.validation.labels, dataset.train.labels[160:])


def test_a_validation_split_of_the_dataset_is_used_unchanged(dataset):
    images = cut(replace(dataset, validation=dataset.test), Data(), seed=0)

    assert images.learn.tolist() == list(range(200))
    assert images.validation is dataset.test
