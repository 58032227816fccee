import signal
import threading

import pytest

from tinysight.training.interruption import listening


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request_and_the_work_goes_on(number):
    with listening() as interruption:
        assert not interruption.asked
        signal.raise_signal(number)
        assert interruption.asked


def press(*signals):
    with listening():
        for number in signals:
            signal.raise_signal(number)


def test_a_second_ctrl_c_is_not_a_request_any_more():
    with pytest.raises(KeyboardInterrupt):
        press(signal.SIGINT, signal.SIGINT)


def test_afterwards_signals_go_where_they_went_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    press(signal.SIGINT, signal.SIGTERM)

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_nothing_is_listened_for():
    asked = []

    def listen():
        with listening() as interruption:
            asked.append(interruption.asked)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()

    assert asked == [False]


def test_what_else_is_to_be_done_is_done_when_somebody_asks():
    done = []
    with listening(lambda: done.append("told the others")):
        assert done == []
        signal.raise_signal(signal.SIGTERM)
        assert done == ["told the others"]
