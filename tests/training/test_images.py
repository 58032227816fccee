from dataclasses import replace

import numpy as np

from tinysight.recipes.schema import Data
from tinysight.training.images import cut


def test_every_training_image_is_either_learned_from_or_held_back(dataset):
    files = tuple(f"{i}.png" for i in range(len(dataset.train)))
    images = cut(replace(dataset, train=replace(dataset.train, files=files)), Data(validation=0.2), seed=1)

    held_back = [int(name.removesuffix(".png")) for name in images.validation.files]
    assert sorted([*images.learn, *held_back]) == list(range(200))
    np.testing.assert_array_equal(images.validation.pixels, dataset.train.pixels[held_back])
    np.testing.assert_array_equal(images.validation.labels, dataset.train.labels[held_back])
    assert images.validation.counts(4) == [10] * 4


def test_the_same_seed_holds_back_the_same_images_and_another_seed_others(dataset):
    learn = [cut(dataset, Data(validation=0.2), seed).learn.tolist() for seed in (1, 1, 2)]

    assert learn[0] == learn[1] != learn[2]


def test_the_notebooks_split_holds_back_the_last_fifth(dataset):
    images = cut(dataset, Data(split="last-20%"), seed=0)

    assert images.learn.tolist() == list(range(160))
    np.testing.assert_array_equal(images.validation.labels, dataset.train.labels[160:])


def test_images_that_a_dataset_sets_aside_itself_are_taken_as_they_are(dataset):
    images = cut(replace(dataset, validation=dataset.test), Data(), seed=0)

    assert images.learn.tolist() == list(range(200))
    assert images.validation is dataset.test
