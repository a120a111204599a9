"""Which host gets a new instance.

A host is able when its worker is there and trusted, it has the image or may fetch it, it has the
network, and what it has not promised yet suffices. Of those that are able a rule chooses. Every
host that is not says what it lacks, so that nobody has to guess why none was found. A host's worker
knows better: what it has refused already it lacks, whatever is known of it here.
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
from shared.contracts.changes import ImageSource
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
from shared.contracts.truncation import MOST_NAMES, first_few

Rule = Literal["most_free_memory", "most_free_cpu", "fewest_instances"]
RULES: tuple[Rule, ...] = get_args(Rule)
DEFAULT_RULE: Rule = "most_free_memory"
# What the reason says where the caller named the host.
ASKED_FOR = "asked_for"
# What an error says of one host.
LONGEST_OF_HOST = 200
_IN_BYTES = ("memory", "disk")


class Shortfall(Struct, frozen=True, omit_defaults=True):
    """Something that a host does not have enough of, or not at all.

    `what` is `connection`, `time`, `release` (its worker is too old), `image`, `network`,
    `project`, `ports`, `room` (for another instance in the fleet's lists, see `budget`), `cpu`,
    `memory` or `disk`; for the last three, and for ports that the host has counted, `wanted` and
    `free` say how much, sizes in bytes.
    """

    what: str
    wanted: int | None = None
    free: int | None = None


# What each of some hosts lacks, by their ids.
Shortfalls = Mapping[str, Sequence[Shortfall]]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a new instance needs of a host; `network` is empty where any will do.

    An empty `type` is whatever the host's image is for. `ports`: it needs some of the host's pool.
    """

    template: Template
    type: str
    amount: Amount
    network: str = ""
    project: str = "default"
    ports: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host, and how much is promised of it already; `instances` counts those to come too."""

    known: HostView
    promised: Amount
    instances: int

    @property
    def host(self) -> str:
        """Its id."""
        return self.known.host


@dataclass(frozen=True, slots=True)
class Placement:
    """The chosen host, what it makes and where it takes the image from, and why it was chosen."""

    host: str
    type: str
    image: ImageSource
    reason: str


class NoHostFits(PermanentError):
    """No host can take the instance, those included that were asked and refused.

    `lacks` says of the first few what each lacks, `counts` of how many hosts what is lacking.
    """

    code = "no_host_fits"

    def __init__(self, lacks: Shortfalls) -> None:
        super().__init__(describe(lacks))
        self.summary = describe(lacks)
        self.lacks = dict(islice(lacks.items(), MOST_NAMES))
        self.hosts = len(lacks)
        self.counts = count_by_kind(lacks)

    def __str__(self) -> str:
        return f"no host can take it: {self.summary}"


class NoHostForNow(TemporaryError):
    """No host takes the instance, one of them for a reason that may pass; else as NoHostFits."""

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
    needs: Requirements,
    candidates: Iterable[Candidate],
    rule: Rule | None = None,
    refused: Shortfalls = MappingProxyType({}),
) -> Placement:
    """Return the place that the rule prefers; of equal ones the first by id.

    Without a rule the only candidate is the one that was asked for. `refused` are the hosts that
    were asked already, and what each lacks by its own word; they are not chosen again, and the
    reason tells of them. Raises NoHostFits.
    """
    fits, lacks = [], {}
    for candidate in candidates:
        found = refused.get(candidate.host) or _judged(needs, candidate)
        if isinstance(found, _Fit):
            fits.append(found)
        else:
            lacks[candidate.host] = found
    if not fits:
        raise NoHostFits(lacks)
    preferred = _PREFERRED[rule or DEFAULT_RULE]
    best = min(fits, key=lambda fit: (*preferred(fit), fit.candidate.host))
    reason = _reason(best, rule or ASKED_FOR, len(fits))
    after = f"; refused by {describe(refused)}" if refused else ""
    return Placement(best.candidate.host, best.type, best.image, f"{reason}{after}")


def offer_of(known: HostView) -> tuple[HostDescribed, Amount] | None:
    """Return what a host has for new instances, and how much it may promise in all.

    None: it is not there, not trusted, or has not said so yet.
    """
    described = known.resources
    if not (known.lxd_connected and known.trusted and described and described.capacity):
        return None
    return described, capacity.total_of(described.capacity)


def _judged(needs: Requirements, candidate: Candidate) -> _Fit | list[Shortfall]:
    offer = offer_of(candidate.known)
    if offer is None:
        return [Shortfall("connection")]
    described, in_all = offer
    free = in_all.minus(candidate.promised)
    made = needs.template.made_on(candidate.known, needs.type)
    image = made[1] if made else None
    lacks = [*_missing(needs, candidate, described, image), *_too_little(needs.amount, free)]
    return lacks if lacks or not made else _Fit(candidate, free, *made)


def _missing(
    needs: Requirements, candidate: Candidate, described: HostDescribed, image: ImageSource | None
) -> Iterable[Shortfall]:
    has = {
        "image": image is not None,
        "network": not needs.network or needs.network in {each.name for each in described.networks},
        "project": needs.project in described.projects,
        "ports": not needs.ports or bool(described.address),
        "room": candidate.instances < candidate.known.instances + candidate.known.headroom,
    }
    return [Shortfall(what) for what, there in has.items() if not there]


def _too_little(wanted: Amount, free: Amount) -> Iterable[Shortfall]:
    amounts = zip(Amount._fields, wanted, free, strict=True)
    return [Shortfall(what, asked, left) for what, asked, left in amounts if asked > left]


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


def count_by_kind(lacks: Shortfalls) -> dict[str, int]:
    """Return how many hosts lack each thing, what most of them lack first."""
    return dict(Counter(lack.what for lacking in lacks.values() for lack in lacking).most_common())


def describe(lacks: Shortfalls) -> str:
    """Return in one line what the first few hosts lack, and how many lack what in all."""
    few = [f"{host}: {', '.join(map(_named, lacking))}" for host, lacking in lacks.items()]
    if len(few) <= MOST_NAMES:
        return "; ".join(few)
    counts = ", ".join(f"{what} {count}" for what, count in count_by_kind(lacks).items())
    return f"{first_few(few, '; ', LONGEST_OF_HOST)}; {counts}"


def _named(lack: Shortfall) -> str:
    if lack.wanted is None or lack.free is None:
        return lack.what
    unit = MIB if lack.what in _IN_BYTES else 1
    return f"{lack.what} ({lack.wanted // unit} > {lack.free // unit}{' MiB' * (unit == MIB)})"


_LACKING: dict[type[FleetError], str] = {
    HostBusy: "time",
    HostIdentityMismatch: "connection",
    HostUnreachable: "connection",
    ImageNotFound: "image",
    LxdUnavailable: "connection",
    OperationExpired: "time",
    PortInUse: "ports",
    WorkerOutdated: "release",
}
# What an order names and only some hosts may have.
_NAMED = ("network", "project")


def shortfall(refusal: FleetError) -> Shortfall | None:
    """Return what the host lacks that another one may have; None: it is not up to the host.

    Only what proves that the host made nothing says anything of the host: all else ends the search.
    """
    if isinstance(refusal, InsufficientResources):
        return Shortfall(refusal.resource, _number(refusal.wanted), _number(refusal.free))
    if isinstance(refusal, InvalidInput):
        return Shortfall(refusal.field) if refusal.field in _NAMED else None
    what = _LACKING.get(type(refusal))
    return Shortfall(what) if what else None


def _number(text: str) -> int | None:
    """Return what a host says as a number; what is none is its own business."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
