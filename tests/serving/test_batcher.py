"""Batches keep the order of arrival, give each request its own result, and fail alone."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi")

from tinysight.serving.batcher import MicroBatcher


class Recorder:
    """Records the first pixels of each batch, and returns them as probabilities; some values raise an error."""

    def __init__(self, failing=()):
        self.batches, self.failing = [], set(failing)

    def __call__(self, crops):
        levels = [int(level) for level in crops[:, 0, 0, 0, 0]]
        self.batches.append(levels)
        if self.failing & set(levels):
            raise ValueError(f"batch {levels}")
        return np.array(levels, dtype=np.float32)[:, None]


def image(level, crops=1):
    return np.full((crops, 3, 1, 1), level, dtype=np.uint8)


def submit(probabilities, rounds, max_batch_size, cancelled=()):
    """Submit images in rounds, one turn of the event loop apart; return a result, an error or None for each."""

    async def run():
        batcher, tasks = MicroBatcher(probabilities, max_batch_size), []
        levels = iter(range(256))
        for count in rounds:
            tasks += [asyncio.ensure_future(batcher.output(image(next(levels)))) for _ in range(count)]
            await asyncio.sleep(0)
            for number in set(cancelled) & set(range(len(tasks))):
                tasks[number].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(run())


ROUNDS = st.lists(st.integers(0, 6), max_size=8)


@given(rounds=ROUNDS, max_batch_size=st.integers(1, 8))
def test_every_request_gets_its_own_result_in_order_of_arrival(rounds, max_batch_size):
    recorder = Recorder()
    results = submit(recorder, rounds, max_batch_size)
    assert [int(row[0]) for row in results] == list(range(sum(rounds)))
    assert [level for batch in recorder.batches for level in batch] == list(range(sum(rounds)))
    assert all(1 <= len(batch) <= max_batch_size for batch in recorder.batches)


@given(rounds=ROUNDS, max_batch_size=st.integers(1, 8), failing=st.sets(st.integers(0, 20), max_size=4))
def test_error_reaches_exactly_the_requests_of_its_batch(rounds, max_batch_size, failing):
    recorder = Recorder(failing)
    results = submit(recorder, rounds, max_batch_size)
    for batch in recorder.batches:
        for level in batch:
            if failing & set(batch):
                assert isinstance(results[level], ValueError)
                assert str(results[level]) == f"batch {batch}"
            else:
                assert int(results[level][0]) == level
    assert sorted(level for batch in recorder.batches for level in batch) == list(range(sum(rounds)))


@given(rounds=ROUNDS, max_batch_size=st.integers(1, 8), cancelled=st.sets(st.integers(0, 20), max_size=6))
def test_cancelled_requests_do_not_disturb_the_others(rounds, max_batch_size, cancelled):
    recorder = Recorder()
    results = submit(recorder, rounds, max_batch_size, cancelled)
    for level, result in enumerate(results):
        if isinstance(result, asyncio.CancelledError):
            assert level in cancelled
        else:
            assert int(result[0]) == level
    classified = [level for batch in recorder.batches for level in batch]
    assert classified == sorted(set(classified))
    assert set(range(len(results))) - cancelled <= set(classified)


@pytest.mark.parametrize(
    ("count", "max_batch_size", "sizes"),
    [(1, 4, [1]), (4, 4, [4]), (5, 4, [4, 1]), (9, 4, [4, 4, 1]), (3, 1, [1, 1, 1]), (3, 100, [3])],
)
def test_images_that_arrive_together_fill_whole_batches(count, max_batch_size, sizes):
    recorder = Recorder()
    submit(recorder, [count], max_batch_size)
    assert [len(batch) for batch in recorder.batches] == sizes


def test_images_that_keep_arriving_wait_for_a_full_batch():
    recorder = Recorder()
    submit(recorder, [1] * 8, max_batch_size=4)
    assert recorder.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_all_crops_of_an_image_stay_together():
    shapes = []

    def probabilities(crops):
        shapes.append(crops.shape)
        return crops.reshape(len(crops), -1).mean(axis=1, keepdims=True, dtype=np.float32)

    async def run():
        batcher = MicroBatcher(probabilities, 8)
        return await asyncio.gather(*(batcher.output(image(level, crops=6)) for level in (3, 5)))

    assert [float(row[0]) for row in asyncio.run(run())] == [3, 5]
    assert shapes == [(2, 6, 3, 1, 1)]


def test_batcher_works_again_after_a_failing_batch_and_after_a_pause():
    async def run():
        batcher, results = MicroBatcher(Recorder({0}), 4), []
        for level in range(4):
            results += await asyncio.gather(batcher.output(image(level)), return_exceptions=True)
        return results

    failed, *others = asyncio.run(run())
    assert isinstance(failed, ValueError)
    assert [int(row[0]) for row in others] == [1, 2, 3]
