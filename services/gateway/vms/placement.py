"""Chooses the host of a new instance.

A host fits if its worker is online and trusted, it has the image or may fetch it, it has the
network, and its uncommitted capacity suffices. A rule chooses among those that fit. Every other
host gets a list of shortfalls, so that an error can say why none fits. A worker has the last word:
what it has refused counts as a shortfall, whatever the fleet view says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from msgspec import Struct

from services.gateway.fleet import capacity
from services.gateway.fleet.capacity import Amount
from services.gateway.fleet.views import HostView
from services.gateway.units import MIB
from services.gateway.vms.templates import Template
from shared.contracts.errors import (
    FleetError,
    HostBusy,
    HostIdentityMismatch,
    HostUnreachable,
    ImageNotFound,
    InsufficientResources,
    InvalidInput,
    LxdUnavailable,
    OperationExpired,
    PermanentError,
    PortInUse,
    TemporaryError,
    WorkerOutdated,
)
from shared.contracts.events import HostDescribed
from shared.contracts.instance_config import ImageSource
from shared.contracts.truncation import MOST_NAMES, first_few

Rule = Literal["most_free_memory", "most_free_cpu", "fewest_instances"]
RULES: tuple[Rule, ...] = get_args(Rule)
DEFAULT_RULE: Rule = "most_free_memory"
# The rule in the reason if the caller named the host.
ASKED_FOR = "asked_for"
# Characters of one host in an error.
LONGEST_OF_HOST = 200
_IN_BYTES = ("memory", "disk")


class Shortfall(Struct, frozen=True, omit_defaults=True):
    """Something that a host does not have, or not enough of.

    `what` is `connection`, `time`, `release` (its worker is too old), `image`, `network`,
    `project`, `ports`, `room` (in its memory budget, see `memory_budget`), `cpu`, `memory` or
    `disk`; the last three, and ports that the host has counted, have `wanted` and `free`, sizes in
    bytes.
    """

    what: str
    wanted: int | None = None
    free: int | None = None


# Shortfalls by host.
Shortfalls = Mapping[str, Sequence[Shortfall]]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a new instance needs of a host; an empty `network` is any.

    An empty `type` is that of the host's image. `ports`: it needs ports of the host's pool.
    """

    template: Template
    type: str
    amount: Amount
    network: str = ""
    project: str = "default"
    ports: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host with its commitment and number of instances, pending ones included."""

    view: HostView
    commitment: Amount
    instances: int

    @property
    def host(self) -> str:
        """Its id."""
        return self.view.host


@dataclass(frozen=True, slots=True)
class Placement:
    """The chosen host, the instance's type, the source of its image, and the reason."""

    host: str
    type: str
    image: ImageSource
    reason: str


class NoHostFits(PermanentError):
    """No host fits, counting those that have refused.

    Its attributes are fields of the API: `lacks` has the shortfalls of the first few hosts,
    `counts` the number of hosts by shortfall.
    """

    code = "no_host_fits"

    def __init__(self, shortfalls: Shortfalls) -> None:
        super().__init__(describe(shortfalls))
        self.summary = describe(shortfalls)
        self.lacks = dict(islice(shortfalls.items(), MOST_NAMES))
        self.hosts = len(shortfalls)
        self.counts = count_by_kind(shortfalls)

    def __str__(self) -> str:
        return f"no host can take it: {self.summary}"


class NoHostForNow(TemporaryError):
    """No host fits now, at least one for a temporary reason; else as NoHostFits."""

    code = "no_host_for_now"

    def __init__(self, error: NoHostFits) -> None:
        super().__init__(error.summary)
        self.summary = error.summary
        self.lacks = error.lacks
        self.hosts = error.hosts
        self.counts = error.counts

    def __str__(self) -> str:
        return f"no host can take it now: {self.summary}"


class _Fit(NamedTuple):
    candidate: Candidate
    free: Amount
    type: str
    image: ImageSource


def place(
    requirements: Requirements,
    candidates: Iterable[Candidate],
    rule: Rule | None = None,
    refused: Shortfalls = MappingProxyType({}),
) -> Placement:
    """Return the placement that the rule prefers; among equals the first host by id.

    Without a rule the only candidate is the requested host. `refused` are the shortfalls of the
    hosts that have refused; these are not chosen again, and the reason names them. Raises
    NoHostFits.
    """
    fits, shortfalls = [], {}
    for candidate in candidates:
        result = refused.get(candidate.host) or _evaluate(requirements, candidate)
        if isinstance(result, _Fit):
            fits.append(result)
        else:
            shortfalls[candidate.host] = result
    if not fits:
        raise NoHostFits(shortfalls)
    preferred = _PREFERRED[rule or DEFAULT_RULE]
    best = min(fits, key=lambda fit: (*preferred(fit), fit.candidate.host))
    reason = _reason(best, rule or ASKED_FOR, len(fits))
    refused_by = f"; refused by {describe(refused)}" if refused else ""
    return Placement(best.candidate.host, best.type, best.image, f"{reason}{refused_by}")


def offer_of(view: HostView) -> tuple[HostDescribed, Amount] | None:
    """Return a host's resources and its total capacity for new instances.

    None: it is not connected, not trusted, or has not reported them yet.
    """
    resources = view.resources
    if not (view.lxd_connected and view.trusted and resources and resources.capacity):
        return None
    return resources, capacity.total_of(resources.capacity)


def _evaluate(requirements: Requirements, candidate: Candidate) -> _Fit | list[Shortfall]:
    offer = offer_of(candidate.view)
    if offer is None:
        return [Shortfall("connection")]
    resources, total = offer
    free = total.minus(candidate.commitment)
    source = requirements.template.resolve_on(candidate.view, requirements.type)
    image = source[1] if source else None
    shortfalls = [
        *_missing(requirements, candidate, resources, image),
        *_insufficient(requirements.amount, free),
    ]
    return shortfalls if shortfalls or not source else _Fit(candidate, free, *source)


def _missing(
    requirements: Requirements,
    candidate: Candidate,
    resources: HostDescribed,
    image: ImageSource | None,
) -> Iterable[Shortfall]:
    has = {
        "image": image is not None,
        "network": not requirements.network
        or requirements.network in {each.name for each in resources.networks},
        "project": requirements.project in resources.projects,
        "ports": not requirements.ports or bool(resources.address),
        "room": candidate.instances < candidate.view.instances + candidate.view.headroom,
    }
    return [Shortfall(what) for what, available in has.items() if not available]


def _insufficient(required: Amount, free: Amount) -> Iterable[Shortfall]:
    amounts = zip(Amount._fields, required, free, strict=True)
    return [Shortfall(what, needed, left) for what, needed, left in amounts if needed > left]


# The smaller the better.
_PREFERRED: dict[Rule, Callable[[_Fit], tuple[int, ...]]] = {
    "most_free_memory": lambda fit: (-fit.free.memory, -fit.free.cpu),
    "most_free_cpu": lambda fit: (-fit.free.cpu, -fit.free.memory),
    "fewest_instances": lambda fit: (fit.candidate.instances, -fit.free.memory),
}


def _reason(fit: _Fit, rule: str, able: int) -> str:
    return (
        f"{rule}: {fit.free.memory // MIB} MiB of memory, {fit.free.cpu} CPUs free and "
        f"{fit.candidate.instances} instances on {fit.candidate.host}, of {able} able"
    )


def count_by_kind(shortfalls: Shortfalls) -> dict[str, int]:
    """Return the number of hosts by shortfall, the most frequent first."""
    return dict(
        Counter(
            shortfall.what for of_host in shortfalls.values() for shortfall in of_host
        ).most_common()
    )


def describe(shortfalls: Shortfalls) -> str:
    """Return one line with the shortfalls of the first few hosts, and the total counts."""
    few = [
        f"{host}: {', '.join(map(_describe_shortfall, of_host))}"
        for host, of_host in shortfalls.items()
    ]
    if len(few) <= MOST_NAMES:
        return "; ".join(few)
    counts = ", ".join(f"{what} {count}" for what, count in count_by_kind(shortfalls).items())
    return f"{first_few(few, '; ', LONGEST_OF_HOST)}; {counts}"


def _describe_shortfall(shortfall: Shortfall) -> str:
    if shortfall.wanted is None or shortfall.free is None:
        return shortfall.what
    unit = MIB if shortfall.what in _IN_BYTES else 1
    wanted, free = shortfall.wanted // unit, shortfall.free // unit
    return f"{shortfall.what} ({wanted} > {free}{' MiB' * (unit == MIB)})"


_SHORTFALLS: dict[type[FleetError], str] = {
    HostBusy: "time",
    HostIdentityMismatch: "connection",
    HostUnreachable: "connection",
    ImageNotFound: "image",
    LxdUnavailable: "connection",
    OperationExpired: "time",
    PortInUse: "ports",
    WorkerOutdated: "release",
}
# Fields of an order that may be valid on some hosts only.
_CHECKED_FIELDS = ("network", "project")


def shortfall(error: FleetError) -> Shortfall | None:
    """Return the shortfall behind a host's error; None: it does not depend on the host.

    Only errors that prove that nothing was started count: any other ends the search.
    """
    if isinstance(error, InsufficientResources):
        return Shortfall(error.resource, _number(error.wanted), _number(error.free))
    if isinstance(error, InvalidInput):
        return Shortfall(error.field) if error.field in _CHECKED_FIELDS else None
    what = _SHORTFALLS.get(type(error))
    return Shortfall(what) if what else None


def _number(text: str) -> int | None:
    """Return a number that a host reported; None: it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
