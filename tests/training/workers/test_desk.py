"""What passes over the desk between workers and whoever started them; Ray only carries the calls."""

import asyncio

from tinysight.errors import DataError
from tinysight.training.workers.desk import Desk, Reported


class Remote:
    """An actor without Ray: `desk.method.remote(...)` is done at once."""

    def __init__(self, desk):
        self.desk = desk

    def __getattr__(self, name):
        call = getattr(self.desk, name)
        return type("Method", (), {"remote": staticmethod(lambda *arguments: asyncio.run(call(*arguments)))})


def test_progress_arrives_in_order_and_once():
    desk = Desk()
    reported = Reported(Remote(desk))
    reported.start("epoch 1/2", 100, "images")
    reported.advance(50, loss=0.5)
    reported.note("Look!")
    reported.finish("epoch 1/2  done")

    assert asyncio.run(desk.calls()) == [
        ("start", ("epoch 1/2", 100, "images"), {}),
        ("advance", (50,), {"loss": 0.5}),
        ("note", ("Look!",), {}),
        ("finish", ("epoch 1/2  done",), {}),
    ]
    assert asyncio.run(desk.calls()) == []


def test_errors_are_kept_in_the_order_in_which_workers_ended():
    desk, first, second = Desk(), DataError("first"), DataError("second")
    for error in (first, second):
        asyncio.run(desk.fail(error))
    assert asyncio.run(desk.errors()) == [first, second]


def test_workers_wait_until_somebody_asks_them_to_stop():
    async def wait():
        desk = Desk()
        waiting = asyncio.create_task(desk.asked())
        await asyncio.sleep(0)
        assert not waiting.done()
        await desk.ask()
        return await waiting

    assert asyncio.run(wait())
