"""Progress, errors and stop requests between workers and the driver, without Ray."""

import asyncio

from tinysight._util.errors import DataError
from tinysight.training.distributed.progress_actor import ProgressActor, RemoteProgress


class FakeHandle:
    """An actor handle without Ray: `handle.method.remote(...)` runs at once."""

    def __init__(self, actor):
        self.actor = actor

    def __getattr__(self, name):
        call = getattr(self.actor, name)
        return type("Method", (), {"remote": staticmethod(lambda *arguments: asyncio.run(call(*arguments)))})


def test_progress_calls_arrive_once_and_in_order():
    actor = ProgressActor()
    reported = RemoteProgress(FakeHandle(actor))
    reported.start("epoch 1/2", 100, "images")
    reported.advance(50, loss=0.5)
    reported.note("A note.")
    reported.finish("epoch 1/2  done")

    assert asyncio.run(actor.next_calls()) == [
        ("start", ("epoch 1/2", 100, "images"), {}),
        ("advance", (50,), {"loss": 0.5}),
        ("note", ("A note.",), {}),
        ("finish", ("epoch 1/2  done",), {}),
    ]
    assert asyncio.run(actor.next_calls()) == []


def test_errors_are_kept_in_order():
    actor, first, second = ProgressActor(), DataError("first"), DataError("second")
    for error in (first, second):
        asyncio.run(actor.add_error(error))
    assert asyncio.run(actor.errors()) == [first, second]


def test_workers_wait_for_a_stop_request():
    async def wait():
        actor = ProgressActor()
        waiting = asyncio.create_task(actor.wait_for_stop())
        await asyncio.sleep(0)
        assert not waiting.done()
        await actor.request_stop()
        return await waiting

    assert asyncio.run(wait())
