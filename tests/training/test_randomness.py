import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight.training.randomness import derive, generator

seeds = st.integers(0, 2**32 - 1)
purposes = st.sampled_from(["order", "dropout", "augmentation"])
places = st.tuples(seeds, purposes, st.integers(0, 1000), st.integers(0, 100_000))  # seed, purpose, epoch, step


@given(places, places)
def test_another_seed_purpose_or_position_has_another_seed(one, other):
    assert (derive(*one) == derive(*other)) == (one == other)
    assert 0 <= derive(*one) < 2**63


def test_derived_seeds_are_the_same_in_every_process_and_version():
    assert derive(0, "weights") == 3699729803252847382
    assert derive(7, "dropout", 3, 12) == 6585802125442029729


@given(places)
def test_a_generator_draws_the_same_numbers_again(place):
    assert torch.equal(torch.rand(4, generator=generator(*place)), torch.rand(4, generator=generator(*place)))
