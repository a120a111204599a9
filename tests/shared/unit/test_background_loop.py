from __future__ import annotations

import logging
import time

import eventlet
import pytest

from shared.contracts.errors import BrokerUnavailable
from shared.platform.run.background_loop import run_forever


@pytest.mark.parametrize(
    ("failure", "logged"), [(BrokerUnavailable(), []), (ValueError("a bug"), ["task failed"])]
)
def test_a_duty_is_done_again_whatever_went_wrong(
    failure: Exception, logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    done: list[int] = []

    def duty() -> None:
        done.append(1)
        if len(done) == 1:
            raise failure

    doing = eventlet.spawn(run_forever, duty, 0.0)
    while len(done) < 3:
        eventlet.sleep(0)
    doing.kill()

    assert [record.message for record in caplog.records] == logged


@pytest.mark.parametrize(("failure", "most"), [(ValueError("a bug"), 8), (BrokerUnavailable(), 10)])
def test_a_duty_that_fails_each_time_does_not_spin(failure: Exception, most: int) -> None:
    done: list[float] = []

    def duty() -> None:
        done.append(time.monotonic())
        raise failure

    doing = eventlet.spawn(run_forever, duty, 0.0)
    eventlet.sleep(0.5)
    doing.kill()

    assert 2 <= len(done) <= most


def test_after_a_success_a_duty_fails_anew(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def duty() -> None:
        done.append(1)
        if len(done) % 2:
            raise ValueError("a bug")

    doing = eventlet.spawn(run_forever, duty, 0.0)
    eventlet.sleep(0.5)
    doing.kill()

    assert len(done) > 40
