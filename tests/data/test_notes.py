"""Notes of a dataset: replaced by kind, whatever their text."""

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from tinysight.data.arrange import arrange
from tinysight.data.dataset import Note
from tinysight.data.load import load
from tinysight.recipes.schema import DataSection

SKIPPED = "1 of 21 image files cannot be read and are skipped: has no test split, as the test split.png."


@pytest.fixture
def dataset():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    loaded = load((pixels, np.arange(40) % 2))
    times = {name: replace(part, times=tuple(map(str, range(len(part))))) for name, part in loaded.splits.items()}
    return replace(loaded.with_splits(times), notes=(SKIPPED, *loaded.notes))


@pytest.mark.parametrize(
    ("section", "beginning"),
    [({"near_duplicates": "keep-together"}, "Whole groups were drawn as"), ({"split": "time"}, "Split by time: ")],
)
def test_only_the_note_on_the_test_split_is_replaced(dataset, section, beginning):
    assert [note for note in dataset.notes if note.startswith("The arrays have no test split.")]
    dataset = replace(
        dataset,
        train=replace(dataset.train, files=tuple(f"a/{i}" for i in range(32))),
        test=replace(dataset.test, files=tuple(f"b/{i}" for i in range(8))),
    )
    first, second = arrange(dataset, DataSection(**section)).notes
    assert first == SKIPPED
    assert second.startswith(beginning)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda note: pickle.loads(pickle.dumps(note))])
def test_a_note_keeps_its_kind_and_is_plain_text_elsewhere(duplicate):
    note = duplicate(Note("Text.", "test split"))
    assert (note, note.kind, json.dumps(note)) == ("Text.", "test split", '"Text."')
