import signal
import threading

import pytest

from tinysight.training.signals import catch_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_requests_a_stop(number):
    with catch_signals() as interruption:
        assert not interruption.requested
        signal.raise_signal(number)
        assert interruption.requested


def press(*signals):
    with catch_signals():
        for number in signals:
            signal.raise_signal(number)


def test_a_second_ctrl_c_raises():
    with pytest.raises(KeyboardInterrupt):
        press(signal.SIGINT, signal.SIGINT)


def test_signal_handlers_are_restored():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    press(signal.SIGINT, signal.SIGTERM)

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_no_signals_are_caught_outside_the_main_thread():
    requested = []

    def listen():
        with catch_signals() as interruption:
            requested.append(interruption.requested)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()

    assert requested == [False]


def test_the_callback_runs_on_a_signal():
    calls = []
    with catch_signals(lambda: calls.append("stop")):
        assert calls == []
        signal.raise_signal(signal.SIGTERM)
        assert calls == ["stop"]
