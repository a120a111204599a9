"""Creating instances: where each new one goes, under which name.

What a creation will take is counted from the moment its host is chosen, so that many requests at
once do not all choose the same one. Nothing is awaited between looking and choosing. A host that
was chosen and does not take it is left for another one, unless the caller named it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from uuid import uuid4

from services.gateway.fleet import capacity
from services.gateway.fleet.views import HostView
from services.gateway.ports import Caller, Change, Fleet, Operations, Target
from services.gateway.vms import templates
from services.gateway.vms.naming import free_name, shown_name
from services.gateway.vms.new_vm import NewVm, unknown
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.placement import (
    DEFAULT_RULE,
    Candidate,
    Lacks,
    NoHostFits,
    NoHostForNow,
    offered,
    place,
)
from services.gateway.vms.refusals import shortfall
from services.gateway.vms.templates import ListedTemplate, Template
from services.gateway.vms.view import FleetWithPending
from shared.contracts.changes import ImageSource, NewInstance
from shared.contracts.errors import (
    FleetError,
    HostUnreachable,
    ImageNotFound,
    InstanceExists,
    LxdUnavailable,
    TemporaryError,
)
from shared.contracts.operations import Arguments, Kind, Operation

log = logging.getLogger(__name__)


def _new_uuid() -> str:
    return str(uuid4())


class CreationService:
    """Implements `ports.Creations`."""

    def __init__(
        self,
        fleet: Fleet,
        operations: Operations,
        coming: PendingCreations,
        catalogue: Sequence[Template],
        new_uuid: Callable[[], str] = _new_uuid,
    ) -> None:
        self._fleet = fleet
        self._vms = FleetWithPending(fleet, coming, catalogue)
        self._operations = operations
        self._coming = coming
        self._catalogue = catalogue
        self._new_uuid = new_uuid

    async def create(
        self, vm: NewVm, caller: Caller, key: str | None, fingerprint: str
    ) -> Operation:
        """Choose a host, and submit the creation; see `ports.Creations`."""
        hosts = self._connected(vm.host)
        self._demand_new_name(vm)
        target, arguments = self._decided(vm, hosts, self._new_uuid(), {})
        change = Change(
            kind=Kind.CREATE,
            target=target,
            arguments=arguments,
            caller=caller,
            idempotency_key=key,
            fingerprint=fingerprint,
            secrets=vm.secrets(),
            new_name="" if vm.host else vm.name,
        )
        refusals: dict[str, FleetError] = {}
        with self._coming.decided(change) as decision:

            def elsewhere(refusal: FleetError) -> Change:
                refusals[decision.change.target.host] = refusal
                decision.change = self._elsewhere(vm, decision.change, refusals)
                return decision.change

            return await self._operations.submit(change, elsewhere)

    @property
    def vms(self) -> FleetWithPending:
        """The fleet view with the instances that are being created."""
        return self._vms

    def templates(self) -> list[ListedTemplate]:
        """Return the file's templates, then the images that hosts have or may fetch."""
        return templates.listed(self._catalogue, self._fleet.hosts())

    def image(self, template: str, host: HostView, kind: str) -> ImageSource | None:
        """Return what a template is on a host; see `ports.Creations`."""
        found = templates.find(template, self._catalogue, [host])
        return found.source_on(host, kind) if found else None

    def instead_of(self, template: str, host: HostView, kind: str) -> list[str]:
        """Return what a host has instead; see `ports.Creations`."""
        there = templates.listed(self._catalogue, [host])
        had = [each for each in there if each.template.source_on(host, kind)]
        return templates.instead_of(template, had)

    def unknown(self, vm: NewVm) -> dict[str, list[str]]:
        """Return the fields that name what is not there, each with what is there instead."""
        return unknown(vm, self._catalogue, self._fleet.hosts())

    def _elsewhere(self, vm: NewVm, change: Change, refusals: Mapping[str, FleetError]) -> Change:
        """Return the change for the next host.

        Raises the last refusal where it is the answer: by the host that the caller named, by the
        only one there is, or for a reason that is not up to the host. Raises NoHostFits or
        NoHostForNow when no other host is able.
        """
        refusal = refusals[change.target.host]
        lacks = {host: [lacking] for host, each in refusals.items() if (lacking := shortfall(each))}
        hosts = self._fleet.hosts()
        if vm.host or change.target.host not in lacks or len(hosts) == 1:
            raise refusal
        try:
            target, arguments = self._decided(vm, hosts, change.target.uuid, lacks)
        except NoHostFits as error:
            may_pass = any(isinstance(each, TemporaryError) for each in refusals.values())
            raise NoHostForNow(error) if may_pass else error from refusal
        _log_refusal(change.target, target, refusal)
        return replace(change, target=target, arguments=arguments)

    def _decided(
        self, vm: NewVm, hosts: Sequence[HostView], uuid: str, refused: Lacks
    ) -> tuple[Target, Arguments]:
        needs = vm.needs(self._template(vm.template))
        rule = None if vm.host else vm.rule or DEFAULT_RULE
        found = place(needs, self._candidates(hosts), rule, refused)
        name = free_name(vm.name, self._names_on(found.host, vm.project))
        target = Target(found.host, vm.project, name, uuid)
        order = vm.order(found.type, found.image)
        return target, Arguments(create=order, placement=found.reason)

    def _connected(self, host: str) -> list[HostView]:
        """Return the hosts to choose from, of which one at least can be judged and told."""
        hosts = [self._fleet.host(host)] if host else list(self._fleet.hosts())
        if any(offered(known) for known in hosts):
            return hosts
        raise HostUnreachable(host) if host else LxdUnavailable("")

    def _template(self, name: str) -> Template:
        found = templates.find(name, self._catalogue, self._fleet.hosts())
        if found is None:
            raise ImageNotFound(name)
        return found

    def _candidates(self, hosts: Sequence[HostView]) -> list[Candidate]:
        """Return the hosts with what is promised of them, to what is on its way too."""
        coming: defaultdict[str, list[NewInstance]] = defaultdict(list)
        for target, new in self._coming.all().items():
            there = self._fleet.with_uuid(target.uuid)
            if not any(each.host == target.host for each in there):
                coming[target.host].append(new)
        return [_candidate(known, coming[known.host]) for known in hosts]

    def _demand_new_name(self, vm: NewVm) -> None:
        """Raise InstanceExists where the name is taken, on the host asked for or on any."""
        known = (
            shown_name(each.instance)
            for each in self._fleet.instances(vm.host or None)
            if each.instance.project == vm.project and (vm.host or not each.duplicate)
        )
        coming = (
            new.display_name
            for target, new in self._coming.all().items()
            if vm.host in {"", target.host} and target.project == vm.project
        )
        if vm.name in chain(known, coming):
            raise InstanceExists(vm.name)

    def _names_on(self, host: str, project: str) -> set[str]:
        there = {
            each.instance.name
            for each in self._fleet.instances(host)
            if each.instance.project == project
        }
        coming = (each for each in self._coming.all() if each.host == host)
        return there | {each.name for each in coming if each.project == project}


def _log_refusal(left: Target, chosen: Target, refusal: FleetError) -> None:
    log.info(
        "creation refused and sent elsewhere",
        extra={
            "operation": left.uuid,
            "host": left.host,
            "reason": str(refusal),
            "next_host": chosen.host,
        },
    )


def _candidate(known: HostView, coming: Sequence[NewInstance]) -> Candidate:
    promised = known.promised
    for new in coming:
        promised = promised.plus(capacity.wanted(new))
    return Candidate(known, promised, known.instances + len(coming))
