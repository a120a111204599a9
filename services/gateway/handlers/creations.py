"""Creating instances: where each new one goes, under which name.

What a creation will take is counted from the moment its host is chosen, so that many requests at
once do not all choose the same one. Nothing is awaited between looking and choosing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from uuid import uuid4

from services.gateway.domain import capacity, templates
from services.gateway.domain.creation import NewVm, unknown
from services.gateway.domain.known import KnownHost
from services.gateway.domain.naming import free_name, shown_name
from services.gateway.domain.placement import DEFAULT_RULE, Candidate, offered, place
from services.gateway.domain.templates import Listed, Template
from services.gateway.handlers.coming import Coming
from services.gateway.handlers.vms import Vms
from services.gateway.ports import Caller, Change, Fleet, Operations, Target
from shared.contracts.changes import NewInstance
from shared.contracts.errors import (
    HostUnreachable,
    ImageNotFound,
    InstanceExists,
    LxdUnavailable,
)
from shared.contracts.operations import Arguments, Kind, Operation


def _new_uuid() -> str:
    return str(uuid4())


class CreationsHandler:
    """Implements `ports.Creations`."""

    def __init__(
        self,
        fleet: Fleet,
        operations: Operations,
        coming: Coming,
        catalogue: Sequence[Template],
        new_uuid: Callable[[], str] = _new_uuid,
    ) -> None:
        self._fleet = fleet
        self._vms = Vms(fleet, coming, catalogue)
        self._operations = operations
        self._coming = coming
        self._catalogue = catalogue
        self._new_uuid = new_uuid

    async def create(
        self, vm: NewVm, caller: Caller, key: str | None, fingerprint: str
    ) -> Operation:
        """Choose a host, and submit the creation; see `ports.Creations`."""
        target, arguments = self._decided(vm)
        change = Change(
            kind=Kind.CREATE,
            target=target,
            arguments=arguments,
            caller=caller,
            idempotency_key=key,
            fingerprint=fingerprint,
            secrets=vm.secrets(),
        )
        with self._coming.decided(change):
            return await self._operations.submit(change)

    @property
    def vms(self) -> Vms:
        """The fleet view with the instances that are being created."""
        return self._vms

    def templates(self) -> list[Listed]:
        """Return the file's templates, then the images that hosts have or may fetch."""
        return templates.listed(self._catalogue, self._fleet.hosts())

    def unknown(self, vm: NewVm) -> dict[str, list[str]]:
        """Return the fields that name what is not there, each with what is there instead."""
        return unknown(vm, self._catalogue, self._fleet.hosts())

    def _decided(self, vm: NewVm) -> tuple[Target, Arguments]:
        candidates = self._candidates(self._connected(vm.host))
        self._demand_new_name(vm)
        needs = vm.needs(self._template(vm.template))
        rule = None if vm.host else vm.rule or DEFAULT_RULE
        found = place(needs, candidates, rule)
        name = free_name(vm.name, self._names_on(found.host, vm.project))
        target = Target(found.host, vm.project, name, self._new_uuid())
        order = vm.order(needs.type, found.image)
        return target, Arguments(create=order, placement=found.reason)

    def _connected(self, host: str) -> list[KnownHost]:
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

    def _candidates(self, hosts: Sequence[KnownHost]) -> list[Candidate]:
        """Return the hosts with what is promised of them, to what is on its way too."""
        coming: defaultdict[str, list[NewInstance]] = defaultdict(list)
        for target, new in self._coming.all().items():
            if not self._fleet.with_uuid(target.uuid):
                coming[target.host].append(new)
        return [_candidate(known, coming[known.host]) for known in hosts]

    def _demand_new_name(self, vm: NewVm) -> None:
        """Raise InstanceExists where the name is taken, on the host asked for or on any."""
        known = (
            shown_name(each.instance)
            for each in self._fleet.instances(vm.host or None)
            if each.instance.project == vm.project
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


def _candidate(known: KnownHost, coming: Sequence[NewInstance]) -> Candidate:
    promised = known.promised
    for new in coming:
        promised = promised.plus(capacity.wanted(new))
    return Candidate(known, promised, known.instances + len(coming))
