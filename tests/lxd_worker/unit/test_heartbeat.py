"""The worker's heartbeat, and what it knows of its LXD."""

from __future__ import annotations

from services.lxd_worker.reports.heartbeat import LxdHealth, heartbeat
from tests.support.clock import STARTED
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.wire import Wire


def test_a_heartbeat_says_who_lxd_is_and_that_it_answers(bench: Bench) -> None:
    watch = LxdHealth(changed=lambda: None, listening=True)
    watch.probe(bench.lxd)

    beat = heartbeat(Wire().context(bench.clock), watch, bench.journal, 2.0, 17)

    assert (beat.epoch, beat.sequence, beat.clock) == (3, 17, f"{STARTED:.3f}")
    assert (beat.lxd_connected, beat.fingerprint, beat.lxd) == (True, "f" * 64, "5.0.2")


def test_a_heartbeat_goes_on_without_lxd_and_remembers_who_it_was(bench: Bench) -> None:
    watch = LxdHealth(changed=lambda: None, listening=True)
    watch.probe(bench.lxd)
    bench.lxd.away = 1
    watch.probe(bench.lxd)

    beat = heartbeat(Wire().context(bench.clock), watch, bench.journal, 2.0, 17)

    assert (beat.lxd_connected, beat.lxd) == (False, "5.0.2")


def test_an_lxd_that_answers_but_tells_nothing_is_not_connected(bench: Bench) -> None:
    watch = LxdHealth(changed=lambda: None, listening=False)
    watch.probe(bench.lxd)

    assert watch.connected is False


def test_every_change_of_lxd_is_told_at_once_and_nothing_else(bench: Bench) -> None:
    told: list[tuple[bool, str]] = []
    watch = LxdHealth(
        changed=lambda: told.append((watch.connected, watch.server.name if watch.server else ""))
    )

    for _ in range(2):
        watch.set_listening(listening=True)
        watch.probe(bench.lxd)
    bench.lxd.away = 1
    watch.probe(bench.lxd)
    watch.set_listening(listening=False)

    name = bench.lxd.server().name
    assert told == [(False, ""), (True, name), (False, name), (False, name)]
