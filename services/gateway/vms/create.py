"""Creates instances: chooses the host and the LXD name, and submits the operation.

A creation counts against its host from the moment the host is chosen, so that concurrent requests
do not all choose the same one; nothing is awaited in between. If the chosen host refuses, another
one is tried, unless the caller named the host.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from uuid import uuid4

from services.gateway.fleet import capacity
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.operations.command import Caller
from services.gateway.operations.service import OperationService
from services.gateway.operations.store import IdempotencyKey
from services.gateway.vms import templates
from services.gateway.vms.fleet_with_pending import FleetWithPending
from services.gateway.vms.naming import display_name_of, unique_name
from services.gateway.vms.new_vm import NewVm, VmCopy, missing_references
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
from shared.contracts.errors import (
    FleetError,
    HostUnreachable,
    ImageNotFound,
    InstanceExists,
    LxdUnavailable,
    TemporaryError,
)
from shared.contracts.instance_config import ImageSource, NewInstance
from shared.contracts.operations import Arguments, Command, Kind, Operation

log = logging.getLogger(__name__)


def _new_uuid() -> str:
    return str(uuid4())


class CreationService:
    """Creates instances, and lists the templates for them.

    `vms` is the fleet view with the pending instances, in status `CREATING`.
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
        """Choose the host and the name of a new instance, and submit its creation.

        The operation's id is the uuid of the instance. Without a requested host, each host that
        refuses is followed by the next; NoHostFits, or NoHostForNow, says why each refused.

        Raises as `OperationService.submit` does; besides InstanceExists if the name exists on the
        requested host, or on any host without one; HostUnreachable or LxdUnavailable if no host is
        available; ImageNotFound; and from the worker of a requested or only host,
        InsufficientResources, PortInUse and InvalidInput.
        """
        hosts = self._available_hosts(vm.host)
        self._require_name(vm.name, vm.host, vm.project)
        command = self._place(vm, hosts, self._new_uuid(), caller, {})
        errors: dict[str, FleetError] = {}
        with self._pending.hold(command) as decision:

            def next_host(error: FleetError) -> Command:
                errors[decision.command.host] = error
                decision.command = self._next_host(vm, decision.command, caller, errors)
                return decision.command

            return await self._operations.submit(
                command,
                caller,
                key,
                vm.secrets(),
                new_name="" if vm.host else vm.name,
                alternative=next_host,
            )

    async def copy(
        self, copy: VmCopy, source: InstanceView, caller: Caller, key: IdempotencyKey | None
    ) -> Operation:
        """Submit the creation of a new instance from a snapshot, on the host that has it.

        Raises as `create` does for a requested host.
        """
        host, project, _, _ = source.target
        self._available_hosts(host)
        self._require_name(copy.name, host, project)
        command = Command(
            kind=Kind.CREATE,
            host=host,
            project=project,
            instance=unique_name(copy.name, self._names_on(host, project)),
            uuid=self._new_uuid(),
            arguments=Arguments(create=copy.to_new_instance(source)),
            principal=caller.principal,
            correlation_id=caller.correlation_id,
        )
        with self._pending.hold(command):
            return await self._operations.submit(command, caller, key)

    def templates(self) -> list[ListedTemplate]:
        """Return the templates of the file, then the images that hosts have or may fetch."""
        return templates.list_templates(self._catalogue, self._fleet.hosts())

    def image(self, template: str, host: HostView, kind: str) -> ImageSource | None:
        """Return the source of a template's image on a host, for a type; None: it has none."""
        found = templates.find_template(template, self._catalogue, [host])
        return found.source_on(host, kind) if found else None

    def suggest_templates(self, template: str, host: HostView, kind: str) -> list[str]:
        """Return the templates that a host has for a type, the most similar name first."""
        all_templates = templates.list_templates(self._catalogue, [host])
        available = [each for each in all_templates if each.template.source_on(host, kind)]
        return templates.suggest(template, available)

    def missing_references(self, vm: NewVm) -> dict[str, list[str]]:
        """Return the fields with unknown names, each with the valid names."""
        return missing_references(vm, self._catalogue, self._fleet.hosts())

    def _next_host(
        self, vm: NewVm, refused: Command, caller: Caller, errors: Mapping[str, FleetError]
    ) -> Command:
        """Return the command for the next host.

        Raises the last host's error if that host was requested or is the only one, or if the error
        does not depend on the host. Raises NoHostFits or NoHostForNow if no other host fits.
        """
        error = errors[refused.host]
        shortfalls = {host: [found] for host, each in errors.items() if (found := shortfall(each))}
        hosts = self._fleet.hosts()
        if vm.host or refused.host not in shortfalls or len(hosts) == 1:
            raise error
        try:
            command = self._place(vm, hosts, refused.uuid, caller, shortfalls)
        except NoHostFits as no_host:
            may_pass = any(isinstance(each, TemporaryError) for each in errors.values())
            raise NoHostForNow(no_host) if may_pass else no_host from error
        _log_refusal(refused, command, error)
        return command

    def _place(
        self, vm: NewVm, hosts: Sequence[HostView], uuid: str, caller: Caller, refused: Shortfalls
    ) -> Command:
        requirements = vm.requirements(self._template(vm.template))
        rule = None if vm.host else vm.rule or DEFAULT_RULE
        placement = place(requirements, self._candidates(hosts), rule, refused)
        new_instance = vm.to_new_instance(placement.type, placement.image)
        return Command(
            kind=Kind.CREATE,
            host=placement.host,
            project=vm.project,
            instance=unique_name(vm.name, self._names_on(placement.host, vm.project)),
            uuid=uuid,
            arguments=Arguments(create=new_instance, placement=placement.reason),
            principal=caller.principal,
            correlation_id=caller.correlation_id,
        )

    def _available_hosts(self, host: str) -> list[HostView]:
        """Return the hosts to choose from; raise if none of them is available."""
        hosts = [self._fleet.host(host)] if host else list(self._fleet.hosts())
        if any(offer_of(view) for view in hosts):
            return hosts
        raise HostUnreachable(host) if host else LxdUnavailable("")

    def _template(self, name: str) -> Template:
        found = templates.find_template(name, self._catalogue, self._fleet.hosts())
        if found is None:
            raise ImageNotFound(name)
        return found

    def _candidates(self, hosts: Sequence[HostView]) -> list[Candidate]:
        """Return the hosts with their commitments, pending instances included."""
        pending: defaultdict[str, list[NewInstance]] = defaultdict(list)
        for target, new in self._pending.all().items():
            present = self._fleet.with_uuid(target.uuid)
            if not any(each.host == target.host for each in present):
                pending[target.host].append(new)
        return [_candidate(view, pending[view.host]) for view in hosts]

    def _require_name(self, name: str, host: str, project: str) -> None:
        """Raise InstanceExists if the name is in use, on the requested host or on any."""
        existing = (
            display_name_of(each.instance)
            for each in self._fleet.with_display_name(name)
            if each.instance.project == project
            and (host == each.host if host else not each.duplicate)
        )
        pending = (
            new.display_name
            for target, new in self._pending.all().items()
            if host in {"", target.host} and target.project == project
        )
        if name in chain(existing, pending):
            raise InstanceExists(name)

    def _names_on(self, host: str, project: str) -> set[str]:
        existing = {
            each.instance.name
            for each in self._fleet.instances(host)
            if each.instance.project == project
        }
        pending = (each for each in self._pending.all() if each.host == host)
        return existing | {each.name for each in pending if each.project == project}


def _log_refusal(refused: Command, chosen: Command, error: FleetError) -> None:
    log.info(
        "creation refused, trying another host",
        extra={
            "operation": refused.uuid,
            "host": refused.host,
            "reason": str(error),
            "next_host": chosen.host,
        },
    )


def _candidate(view: HostView, pending: Sequence[NewInstance]) -> Candidate:
    commitment = view.commitment
    for new in pending:
        commitment = commitment.plus(capacity.commitment_for(new))
    return Candidate(view, commitment, view.instances + len(pending))
