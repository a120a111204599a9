from __future__ import annotations

import gc

from services.gateway.ws.change_log import ENTRY_BYTES, ChangeLog, LogChange, LogEntry


def entry(key: str, text: str | None = "1") -> LogEntry:
    return LogEntry(key, "h1", key, None if text is None else text.encode())


class Reader:
    def __init__(self) -> None:
        self.sequences: list[int] = []

    def on_change(self, change: LogChange) -> None:
        self.sequences.append(change.sequence)


def test_every_change_has_the_next_number() -> None:
    log = ChangeLog()

    log.update([entry("a"), entry("b")])
    log.update([entry("a", "2")])

    assert log.sequence == 2
    assert log.current() == [entry("a", "2"), entry("b")]


def test_the_entries_of_a_host_are_had_alone_also_when_one_has_moved() -> None:
    log = ChangeLog()
    moved = entry("a", "2")._replace(host="h2")

    log.update([entry("a"), entry("b")])
    log.update([moved])
    log.update([entry("b", None)])

    assert log.current() == log.current("h2") == [moved]
    assert log.current("h1") == []


def test_what_is_as_before_is_no_change() -> None:
    log = ChangeLog()
    log.update([entry("a")])

    log.update([entry("a"), entry("never-there", None)])

    assert log.sequence == 1


def test_who_missed_several_changes_gets_the_last_of_each_thing() -> None:
    log = ChangeLog()
    for change in (entry("a"), entry("a", "2"), entry("b"), entry("b", None), entry("a", "3")):
        log.update([change])

    missed = log.since(1)

    assert missed == {"a": entry("a", "3"), "b": entry("b", None)}
    assert log.since(5) == {}


def test_the_newest_changes_fit_into_the_bytes_there_are() -> None:
    log = ChangeLog(most_bytes=3 * (ENTRY_BYTES + 1))

    for number in range(10):
        log.update([entry("a", str(number))])

    assert log.since(7) == {"a": entry("a", "9")}
    assert log.since(6) is None


def test_a_change_that_fits_into_no_log_is_still_the_present_state() -> None:
    log = ChangeLog(most_bytes=10)

    log.update([entry("a")])

    assert log.since(0) is None
    assert log.since(1) == {}
    assert log.current() == [entry("a")]


def test_readers_are_told_of_changes_for_as_long_as_they_are_there() -> None:
    log, reader = ChangeLog(), Reader()
    log.listeners.add(reader)
    log.update([entry("a")])
    told = reader.sequences

    del reader
    gc.collect()
    log.update([entry("b")])

    assert told == [1]
