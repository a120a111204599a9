"""At which of its addresses an instance is reached."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from shared.contracts.instances import Instance
from shared.contracts.samples import Address
from shared.contracts.status import is_alive

FIRST_DEVICE = "eth0"
GLOBAL = "global"


class Reachable(Struct, frozen=True, gc=False):
    """The addresses at which an instance is reached.

    `ipv4` and `ipv6` are the first global ones of its configured NICs, `eth0` before others: what
    somebody inside made (docker0, virbr0) has the same address in many instances. `all` are all
    global ones of configured NICs; where there are none, those of others.
    """

    ipv4: str | None = None
    ipv6: str | None = None
    all: tuple[str, ...] = ()


NOWHERE = Reachable()


def reachable(instance: Instance, sampled: Sequence[Address]) -> Reachable:
    """Return where an instance is reached: nowhere while it is stopped."""
    if not is_alive(instance.status):
        return NOWHERE
    fitting = [each for each in sampled if each.scope == GLOBAL]
    fitting.sort(key=lambda each: each.device != FIRST_DEVICE)
    own = [each for each in fitting if each.of_nic]
    return Reachable(
        ipv4=_first(own, "inet"),
        ipv6=_first(own, "inet6"),
        all=tuple(each.address for each in own or fitting),
    )


def _first(own: Sequence[Address], family: str) -> str | None:
    return next((each.address for each in own if each.family == family), None)
