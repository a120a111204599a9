"""Many hosts are asked one after another, a few at once, and who does not answer less and less."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.gateway.hosts.per_host_scheduler import AT_ONCE, MOST_PER_S, PerHostScheduler
from shared.contracts.errors import HostUnreachable


class Hosts:
    """Hosts that answer, but for those that are away."""

    def __init__(self, *away: str) -> None:
        self.asked: list[tuple[str, float]] = []
        self._away = away

    async def question(self, host: str) -> None:
        self.asked.append((host, time.monotonic()))
        if host in self._away:
            raise HostUnreachable(host)


async def test_many_hosts_are_asked_no_faster_than_is_good_for_the_broker() -> None:
    hosts = Hosts()
    asker = PerHostScheduler(hosts.question, lambda _: True, pause_s=0.01, most_per_s=100.0)

    began = time.monotonic()
    for number in range(AT_ONCE + 20):
        asker.schedule(f"h{number}")
    await asyncio.sleep(0.35)
    await asker.close()

    took = [at - began for _, at in hosts.asked]
    assert len({host for host, _ in hosts.asked}) == AT_ONCE + 20
    assert max(took[:AT_ONCE]) < 0.1
    assert took[-1] > 0.15


def test_a_thousand_hosts_take_half_a_minute() -> None:
    assert 25 < (1000 - AT_ONCE) / MOST_PER_S < 30


async def test_a_host_that_does_not_answer_is_asked_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept, sleep = [], asyncio.sleep

    async def note(delay_s: float) -> None:
        slept.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    hosts = Hosts("h1")
    asker = PerHostScheduler(hosts.question, lambda _: True, pause_s=0.01)

    asker.schedule("h1")
    while len(hosts.asked) < 15:
        await sleep(0)
    await asker.close()

    # Those before a question are for the host's turn among all.
    waits = slept[1::2]
    assert waits[0] <= 0.01
    assert waits[10] >= 10 * 0.01 / 2
