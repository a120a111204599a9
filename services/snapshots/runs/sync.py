"""Which hosts to ask for the runs that are missing.

A host publishes each change of a run, but what a reader gets may have holes: the service was away,
or a queue was full. The worker's own record is the truth, so it is asked for all changes after the
last one that is known to be complete: when the service starts, when a worker does, when the
sequence has a hole, and now and then.

Pure; all times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.contracts.policies import PolicyRun

# For an answer; between two requests to a host; between requests without a cause.
TIMEOUT_S = 10.0
PAUSE_S = 5.0
REGULAR_S = 3600.0
# To all hosts together, for each call of `due`.
MOST_AT_ONCE = 30
PAGE = 200


@dataclass(slots=True)
class _Host:
    sequence: int
    due_at: float
    asked_at: float = float("-inf")


class RunSync:
    """The state of all hosts."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def add(self, host: str, sequence: int, now: float) -> None:
        """Add a host, whose changes up to this sequence are stored; ask it soon."""
        self._hosts.setdefault(host, _Host(sequence, now))

    def forget(self, host: str) -> None:
        """Drop a host."""
        self._hosts.pop(host, None)

    def sequence(self, host: str) -> int:
        """Return up to which sequence all changes are known."""
        return self._hosts[host].sequence if host in self._hosts else 0

    def request(self, host: str, now: float) -> None:
        """Ask the host as soon as the pause between two requests allows."""
        if state := self._hosts.get(host):
            state.due_at = min(state.due_at, max(now, state.asked_at + PAUSE_S))

    def note_run(self, host: str, run: PolicyRun, stored: int | None, now: float) -> None:
        """Record a run that was published; `stored` is the sequence that was stored of it."""
        state = self._hosts.get(host)
        if state is None:
            return
        if run.sequence == state.sequence + 1:
            state.sequence += 1
        elif run.sequence > state.sequence:
            self.request(host, now)
        elif stored is None or stored < run.sequence:
            # The worker has lost its record and counts anew.
            state.sequence = 0
            self.request(host, now)

    def due(self, now: float) -> Iterator[tuple[str, int]]:
        """Return some of the hosts to ask now, and after which sequence."""
        due = [host for host, state in self._hosts.items() if now >= state.due_at]
        for host in due[:MOST_AT_ONCE]:
            yield host, self._hosts[host].sequence

    def note_asked(self, host: str, now: float, *, reached: bool) -> None:
        """Record a request; `reached`: a worker took it."""
        if state := self._hosts.get(host):
            state.asked_at = now
            # An absent worker reports when it is back.
            state.due_at = now + (TIMEOUT_S if reached else REGULAR_S)

    def note_page(self, host: str, runs: Sequence[PolicyRun], now: float, *, more: bool) -> None:
        """Record the answer, once it is stored."""
        state = self._hosts.get(host)
        if state is None:
            return
        if runs:
            state.sequence = max(run.sequence for run in runs)
        # Without a run there is no progress: such an answer is not to be asked for again at once.
        state.due_at = now if more and runs else now + REGULAR_S

    def note_refused(self, host: str, now: float) -> None:
        """Record that the worker cannot answer, for example as it is of an earlier release."""
        if state := self._hosts.get(host):
            state.due_at = now + REGULAR_S
