"""Which hosts are asked for runs, and after which sequence."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.snapshots.runs.sync import MOST_AT_ONCE, PAUSE_S, REGULAR_S, TIMEOUT_S, RunSync
from tests.support.snapshots import a_run


def asked(sync: RunSync, now: float) -> list[tuple[str, int]]:
    """Return who is asked now, and record that workers took the calls."""
    due = list(sync.due(now))
    for host, _ in due:
        sync.note_asked(host, now, reached=True)
    return due


def settled(sequence: int = 5) -> RunSync:
    """Return the state of h1 whose changes up to this one are known, at the time 0."""
    sync = RunSync()
    sync.add("h1", sequence, 0.0)
    asked(sync, 0.0)
    sync.note_page("h1", [], 0.0, more=False)
    return sync


def test_a_new_host_is_asked_for_all_it_has_and_a_known_one_for_the_rest() -> None:
    sync = RunSync()
    sync.add("new", 0, 1.0)
    sync.add("known", 7, 1.0)

    assert asked(sync, 1.0) == [("new", 0), ("known", 7)]
    assert asked(sync, 1.0) == []


def test_pages_follow_each_other_until_there_is_no_more() -> None:
    sync = RunSync()
    sync.add("h1", 0, 0.0)
    asked(sync, 0.0)

    sync.note_page("h1", [a_run(1), a_run(2)], 1.0, more=True)
    assert asked(sync, 1.0) == [("h1", 2)]
    sync.note_page("h1", [a_run(3)], 2.0, more=False)

    assert asked(sync, 100.0) == []
    assert asked(sync, REGULAR_S + 2) == [("h1", 3)]


def test_runs_that_come_one_after_another_make_nobody_ask() -> None:
    sync = settled(5)

    for sequence in (6, 7, 8):
        sync.note_run("h1", a_run(sequence), None, 10.0)

    assert sync.sequence("h1") == 8
    assert asked(sync, 100.0) == []


def test_a_hole_is_asked_for_from_its_beginning() -> None:
    sync = settled(5)

    sync.note_run("h1", a_run(8), None, 10.0)

    assert asked(sync, 10.0) == [("h1", 5)]


def test_holes_without_end_are_asked_for_no_more_often_than_the_pause_says() -> None:
    sync, times = settled(5), []

    for tenth in range(600):
        now = 10 + tenth / 10
        sync.note_run("h1", a_run(1000 + 2 * tenth), None, now)
        if asked(sync, now):
            times.append(now)
            sync.note_page("h1", [], now, more=False)

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) > 5
    assert min(pauses) >= PAUSE_S


def test_a_run_that_is_sent_twice_is_no_sign_of_anything() -> None:
    sync = settled(5)

    sync.note_run("h1", a_run(4), 4, 10.0)

    assert sync.sequence("h1") == 5
    assert asked(sync, 10.0) == []


@pytest.mark.parametrize("stored", [None, 2])
def test_a_worker_that_counts_anew_is_asked_for_everything(stored: int | None) -> None:
    sync = settled(5)

    sync.note_run("h1", a_run(3), stored, 10.0)

    assert asked(sync, 10.0) == [("h1", 0)]


def test_an_answer_that_never_comes_is_asked_for_again() -> None:
    sync = RunSync()
    sync.add("h1", 0, 0.0)
    asked(sync, 0.0)

    assert asked(sync, TIMEOUT_S - 0.1) == []
    assert asked(sync, TIMEOUT_S) == [("h1", 0)]


def test_a_worker_that_is_away_is_asked_once_it_is_back() -> None:
    sync = RunSync()
    sync.add("h1", 0, 0.0)
    for host, _ in sync.due(0.0):
        sync.note_asked(host, 0.0, reached=False)
    assert asked(sync, 60.0) == []

    sync.request("h1", 61.0)

    assert asked(sync, 61.0) == [("h1", 0)]


@pytest.mark.attack
def test_pages_without_progress_end_the_asking() -> None:
    sync = RunSync()
    sync.add("h1", 0, 0.0)
    asked(sync, 0.0)

    sync.note_page("h1", [], 1.0, more=True)

    assert asked(sync, 60.0) == []


def test_many_hosts_are_asked_some_at_a_time() -> None:
    sync = RunSync()
    for number in range(2 * MOST_AT_ONCE + 5):
        sync.add(f"h{number}", 0, 0.0)

    rounds = [len(asked(sync, 0.0)) for _ in range(4)]

    assert rounds == [MOST_AT_ONCE, MOST_AT_ONCE, 5, 0]


def test_a_host_that_was_forgotten_is_nobody() -> None:
    sync = settled(5)
    sync.forget("h1")

    sync.note_run("h1", a_run(9), None, 1.0)
    sync.note_page("h1", [a_run(9)], 1.0, more=True)
    sync.note_refused("h1", 1.0)

    assert asked(sync, 1e9) == []
    assert sync.sequence("h1") == 0
