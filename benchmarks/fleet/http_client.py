"""Request pages of the gateway, with a bound on every wait, and count what does not come.

A client of the standard library on a thread of its own: next to a gateway that answers in a
millisecond, it costs a third of what others do.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from benchmarks.figures import centile

# What may come instead of an answer.
NO_ANSWER = (OSError, http.client.HTTPException, ValueError)
PROBED = "/livez"
PROBE_S = 0.01
_PIECE = 1 << 18


@dataclass(slots=True)
class Durations:
    """How long answers took, and how many never came; those count as the time-out."""

    ms: list[float] = field(default_factory=list)
    missing: int = 0

    @property
    def p50_p99(self) -> tuple[float, float]:
        """The median and the 99th percentile."""
        return centile(self.ms, 50), centile(self.ms, 99)

    @property
    def longest(self) -> float:
        """The longest."""
        return max(self.ms, default=0.0)


class HttpClient:
    """One connection to the gateway, opened as needed; no answer takes longer than the time-out."""

    def __init__(self, port: int, timeout_s: float) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str) -> bytes:
        """Return the body of an answer with the status 200; raise one of `NO_ANSWER`."""
        return b"".join(self._pieces(path))

    def get_json(self, path: str) -> Any:
        """Return the value in an answer's body; raise one of `NO_ANSWER`."""
        return json.loads(self.get(path))

    def time(self, path: str, durations: Durations, *statuses: int) -> None:
        """Add how long an answer takes; one without any of the statuses counts as missing."""
        began = time.perf_counter()
        try:
            # Not kept: hundreds of megabytes would be copied at once, and hold up the probe.
            for _ in self._pieces(path, *statuses):
                pass
        except NO_ANSWER:
            durations.missing += 1
            durations.ms.append(1000 * max(self._timeout_s, time.perf_counter() - began))
        else:
            durations.ms.append(1000 * (time.perf_counter() - began))

    def _pieces(self, path: str, *statuses: int) -> Iterator[bytes]:
        """Yield the body of an answer with one of the statuses, 200 by default.

        Raises one of `NO_ANSWER`.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            answer = self._answer(path)
            while piece := answer.read(_PIECE):
                yield piece
                if time.monotonic() > deadline:
                    raise TimeoutError
        except NO_ANSWER:
            self._connection.close()
            raise
        if answer.status not in (statuses or (200,)):
            raise ValueError(f"{path}: status {answer.status}")

    def _answer(self, path: str) -> http.client.HTTPResponse:
        try:
            return self._request(path)
        except (ConnectionError, http.client.RemoteDisconnected):
            # The gateway has closed a connection that was idle; or it is not there.
            self._connection.close()
            return self._request(path)

    def _request(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path)
        return self._connection.getresponse()


@contextmanager
def probe(port: int, timeout_s: float) -> Iterator[Durations]:
    """Request a hundred times a second what costs the gateway nothing.

    An answer is late by as long as the gateway's loop was blocked; so the longest is the measure
    of that, from outside. It includes what the machine's scheduler adds.
    """
    over, durations = threading.Event(), Durations()

    def ask() -> None:
        with HttpClient(port, timeout_s) as client:
            while not over.wait(PROBE_S):
                client.time(PROBED, durations)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield durations
    finally:
        over.set()
        asking.join()


def time_by_turns(
    port: int,
    reads: Sequence[tuple[str, str, int]],
    rounds: int,
    *,
    timeout_s: float,
    most_s: float,
) -> dict[str, Durations]:
    """Request each of the reads (name, path, status) by turns, for so long at most."""
    durations = {name: Durations() for name, _, _ in reads}
    end = time.monotonic() + most_s
    with HttpClient(port, timeout_s) as client:
        for _ in range(rounds):
            for name, path, status in reads:
                client.time(path, durations[name], status)
                # Without a pause the client would only measure the scheduler.
                time.sleep(PROBE_S)
            if time.monotonic() > end:
                break
    return durations
