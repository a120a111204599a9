"""Creating instances: where each new one goes, under which name.

What a creation will take is counted from the moment its host is chosen, so that many requests at
once do not all choose the same one. Nothing is awaited between looking and choosing. A host that
was chosen and does not take it is left for another one, unless the caller named it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from uuid import uuid4

from services.gateway.fleet import capacity
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView
from services.gateway.operations.command import Caller
from services.gateway.operations.service import OperationService
from services.gateway.operations.store import IdempotencyKey
from services.gateway.vms import templates
from services.gateway.vms.naming import display_name_of, unique_name
from services.gateway.vms.new_vm import NewVm, missing_references
from services.gateway.vms.pending import PendingCreations
from services.gateway.vms.placement import (
    DEFAULT_RULE,
    Candidate,
    NoHostFits,
    NoHostForNow,
    Shortfalls,
    offer_of,
    place,
    shortfall,
)
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
from shared.contracts.operations import Arguments, Command, Kind, Operation

log = logging.getLogger(__name__)


def _new_uuid() -> str:
    return str(uuid4())


class CreationService:
    """Creates instances, and knows what they can be made of.

    `vms` is the fleet view with those that are being created, in status `CREATING`.
    """

    def __init__(
        self,
        fleet: FleetView,
        operations: OperationService,
        pending: PendingCreations,
        catalogue: Sequence[Template],
        new_uuid: Callable[[], str] = _new_uuid,
    ) -> None:
        self.vms = FleetWithPending(fleet, pending, catalogue)
        self._fleet = fleet
        self._operations = operations
        self._pending = pending
        self._catalogue = catalogue
        self._new_uuid = new_uuid

    async def create(self, vm: NewVm, caller: Caller, key: IdempotencyKey | None) -> Operation:
        """Choose host and name of a new instance, and submit its creation.

        The operation has the uuid that the instance gets. Where no host is asked for, one that
        refuses is left for the next; NoHostFits, or NoHostForNow, tells why each would not.

        Raises what `OperationService.submit` does; besides InstanceExists for a name that stands
        already on the host that is asked for, or on any where none is; HostUnreachable or
        LxdUnavailable where no host can be reached; ImageNotFound; and from the worker of a host
        that is asked for, or is the only one, InsufficientResources, PortInUse and InvalidInput.
        """
        hosts = self._connected(vm.host)
        self._require_new_name(vm)
        command = self._decide(vm, hosts, self._new_uuid(), caller, {})
        refusals: dict[str, FleetError] = {}
        with self._pending.decided(command) as decision:

            def next_host(refusal: FleetError) -> Command:
                refusals[decision.command.host] = refusal
                decision.command = self._next_host(vm, decision.command, caller, refusals)
                return decision.command

            return await self._operations.submit(
                command,
                caller,
                key,
                vm.secrets(),
                new_name="" if vm.host else vm.name,
                alternative=next_host,
            )

    def templates(self) -> list[ListedTemplate]:
        """Return the file's templates, then the images that hosts have or may fetch."""
        return templates.list_templates(self._catalogue, self._fleet.hosts())

    def image(self, template: str, host: HostView, kind: str) -> ImageSource | None:
        """Return what a template is on a host, for an instance of a type; None: it has none."""
        found = templates.find_template(template, self._catalogue, [host])
        return found.source_on(host, kind) if found else None

    def instead_of(self, template: str, host: HostView, kind: str) -> list[str]:
        """Return the templates that a host has for an instance of a type, the likeliest first."""
        there = templates.list_templates(self._catalogue, [host])
        had = [each for each in there if each.template.source_on(host, kind)]
        return templates.suggest(template, had)

    def missing_references(self, vm: NewVm) -> dict[str, list[str]]:
        """Return the fields that name what is not there, each with what is there instead."""
        return missing_references(vm, self._catalogue, self._fleet.hosts())

    def _next_host(
        self, vm: NewVm, refused: Command, caller: Caller, refusals: Mapping[str, FleetError]
    ) -> Command:
        """Return the command for the next host.

        Raises the last refusal where it is the answer: by the host that the caller named, by the
        only one there is, or for a reason that is not up to the host. Raises NoHostFits or
        NoHostForNow when no other host is able.
        """
        refusal = refusals[refused.host]
        lacks = {host: [found] for host, each in refusals.items() if (found := shortfall(each))}
        hosts = self._fleet.hosts()
        if vm.host or refused.host not in lacks or len(hosts) == 1:
            raise refusal
        try:
            command = self._decide(vm, hosts, refused.uuid, caller, lacks)
        except NoHostFits as error:
            may_pass = any(isinstance(each, TemporaryError) for each in refusals.values())
            raise NoHostForNow(error) if may_pass else error from refusal
        _log_refusal(refused, command, refusal)
        return command

    def _decide(
        self, vm: NewVm, hosts: Sequence[HostView], uuid: str, caller: Caller, refused: Shortfalls
    ) -> Command:
        needs = vm.needs(self._template(vm.template))
        rule = None if vm.host else vm.rule or DEFAULT_RULE
        found = place(needs, self._candidates(hosts), rule, refused)
        order = vm.order(found.type, found.image)
        return Command(
            kind=Kind.CREATE,
            host=found.host,
            project=vm.project,
            instance=unique_name(vm.name, self._names_on(found.host, vm.project)),
            uuid=uuid,
            arguments=Arguments(create=order, placement=found.reason),
            principal=caller.principal,
            correlation_id=caller.correlation_id,
        )

    def _connected(self, host: str) -> list[HostView]:
        """Return the hosts to choose from, of which one at least can be judged and told."""
        hosts = [self._fleet.host(host)] if host else list(self._fleet.hosts())
        if any(offer_of(known) for known in hosts):
            return hosts
        raise HostUnreachable(host) if host else LxdUnavailable("")

    def _template(self, name: str) -> Template:
        found = templates.find_template(name, self._catalogue, self._fleet.hosts())
        if found is None:
            raise ImageNotFound(name)
        return found

    def _candidates(self, hosts: Sequence[HostView]) -> list[Candidate]:
        """Return the hosts with what is promised of them, to what is on its way too."""
        pending: defaultdict[str, list[NewInstance]] = defaultdict(list)
        for target, new in self._pending.all().items():
            there = self._fleet.with_uuid(target.uuid)
            if not any(each.host == target.host for each in there):
                pending[target.host].append(new)
        return [_candidate(known, pending[known.host]) for known in hosts]

    def _require_new_name(self, vm: NewVm) -> None:
        """Raise InstanceExists where the name is taken, on the host asked for or on any."""
        known = (
            display_name_of(each.instance)
            for each in self._fleet.instances(vm.host or None)
            if each.instance.project == vm.project and (vm.host or not each.duplicate)
        )
        pending = (
            new.display_name
            for target, new in self._pending.all().items()
            if vm.host in {"", target.host} and target.project == vm.project
        )
        if vm.name in chain(known, pending):
            raise InstanceExists(vm.name)

    def _names_on(self, host: str, project: str) -> set[str]:
        there = {
            each.instance.name
            for each in self._fleet.instances(host)
            if each.instance.project == project
        }
        pending = (each for each in self._pending.all() if each.host == host)
        return there | {each.name for each in pending if each.project == project}


def _log_refusal(refused: Command, chosen: Command, refusal: FleetError) -> None:
    log.info(
        "creation refused and sent to another host",
        extra={
            "operation": refused.uuid,
            "host": refused.host,
            "reason": str(refusal),
            "next_host": chosen.host,
        },
    )


def _candidate(known: HostView, pending: Sequence[NewInstance]) -> Candidate:
    promised = known.commitment
    for new in pending:
        promised = promised.plus(capacity.commitment_for(new))
    return Candidate(known, promised, known.instances + len(pending))
