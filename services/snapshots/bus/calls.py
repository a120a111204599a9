"""Calls to the workers of hosts, whose answers come with what hosts publish.

A call must reach a queue: the broker returns one for a worker that is away. Nobody waits for an
answer; what a call is for is done again until its effect shows.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import msgspec

from shared.contracts.codec import to_wire
from shared.contracts.policies import Plan
from shared.platform.bus import topology
from shared.platform.bus.confirmed_publisher import ConfirmedPublisher

log = logging.getLogger(__name__)

SET_PLAN, RUNS_SINCE = "set_plan", "policy_runs_since"
# Calls whose answers are expected; the oldest are forgotten.
MOST_PENDING = 20_000


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was sent."""

    host: str
    method: str


class HostCalls:
    """Sends calls; `reply_id` returns the last word of the key under which hosts answer us.

    Both kinds of call raise BrokerUnavailable (it may have been sent) and return False if there is
    no worker.
    """

    def __init__(self, publisher: ConfirmedPublisher, reply_id: Callable[[], str]) -> None:
        self._publisher = publisher
        self._reply_id = reply_id
        self._pending: OrderedDict[str, Call] = OrderedDict()

    def set_plan(self, plan: Plan) -> bool:
        """Send a host its plan."""
        return self._send(Call(plan.host, SET_PLAN), [to_wire(plan)])

    def runs_since(self, host: str, sequence: int, limit: int) -> bool:
        """Ask a host for the runs that changed after a sequence."""
        return self._send(Call(host, RUNS_SINCE), [sequence, limit])

    def answered(self, call_id: str, host: str) -> Call | None:
        """Return the call of a host that an answer belongs to, once."""
        call = self._pending.get(call_id)
        if call is None or call.host != host:
            return None
        return self._pending.pop(call_id)

    def _send(self, call: Call, arguments: list[object]) -> bool:
        call_id = uuid4().hex
        reached = self._publisher.send(
            topology.CALLS.name,
            topology.call_key(call.host, call.method),
            msgspec.json.encode({"args": arguments, "kwargs": {}}),
            mandatory=True,
            correlation_id=call_id,
            reply_to=topology.reply_key(call.host, self._reply_id()),
        )
        if reached:
            self._pending[call_id] = call
            if len(self._pending) > MOST_PENDING:
                self._pending.popitem(last=False)
        return reached
