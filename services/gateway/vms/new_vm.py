"""A request for a new instance: its requirements, its order to the worker, its pending view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import asdict, replace

from services.gateway.fleet.capacity import Amount, commitment_of
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.vms import templates
from services.gateway.vms.placement import Requirements, Rule
from services.gateway.vms.templates import Template
from shared.contracts.instance_config import (
    NO_LIMITS,
    ImageSource,
    Limits,
    NewInstance,
    SnapshotSource,
)
from shared.contracts.instances import DEFAULT_PROJECT, Instance
from shared.contracts.operations import Operation, Secrets
from shared.contracts.status import Status


@dataclass(frozen=True, slots=True)
class NewVm:
    """A request for a new instance. `name` is the display name; sizes are bytes.

    `template` is the id of a listed one. An empty `type` is that of the host's image, an empty
    `network` that of the profiles, and an empty `host` is chosen by `rule`.
    """

    name: str
    template: str
    amount: Amount
    type: str = ""
    network: str = ""
    auto_start: bool = False
    project: str = DEFAULT_PROJECT
    host: str = ""
    rule: Rule | None = None
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ssh_keys: tuple[str, ...] = ()
    ssh: bool = False
    ports: int = 0
    limits: Limits = NO_LIMITS
    # Kept out of logs.
    cloud_init: str = field(default="", repr=False)
    root_password: str = field(default="", repr=False)

    def requirements(self, template: Template) -> Requirements:
        """Return what a host must have for it."""
        return Requirements(
            template=template,
            type=self.type,
            amount=self.amount,
            network=self.network,
            project=self.project,
            ports=self.ssh or self.ports > 0,
        )

    def to_new_instance(self, kind: str, image: ImageSource) -> NewInstance:
        """Return the order to the worker, without the secrets."""
        return NewInstance(
            image=image,
            type=kind,
            cpu=self.amount.cpu,
            memory=self.amount.memory,
            disk=self.amount.disk,
            display_name=self.name,
            description=self.description,
            network=self.network,
            auto_start=self.auto_start,
            labels=dict(self.labels),
            ssh_keys=self.ssh_keys,
            ssh=self.ssh,
            ports=self.ports,
            limits=self.limits,
        )

    def secrets(self) -> Secrets | None:
        """Return the secrets, which are never stored, and sent to the chosen host only."""
        secrets = Secrets(cloud_init=self.cloud_init, root_password=self.root_password)
        return secrets if secrets.non_empty() else None


@dataclass(frozen=True, slots=True)
class VmCopy:
    """A request for a new instance made of a snapshot; `name` is the display name."""

    name: str
    snapshot: str
    auto_start: bool = False
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_new_instance(self, source: InstanceView) -> NewInstance:
        """Return the order to the worker; its sizes are the source's, 0 for those without limit."""
        amount = commitment_of(replace(source.instance, trash=None))
        return NewInstance(
            image=ImageSource(),
            copy_of=SnapshotSource(
                instance=source.instance.name, uuid=source.instance.uuid, snapshot=self.snapshot
            ),
            type=source.instance.type,
            cpu=amount.cpu,
            memory=amount.memory,
            disk=amount.disk,
            display_name=self.name,
            description=self.description,
            auto_start=self.auto_start,
            labels=dict(self.labels),
        )


# The status of an instance under creation, and of one whose creation failed.
CREATING, NOT_CREATED = "Creating", Status.ERROR


class PendingCreation(NamedTuple):
    """A submitted creation and its new instance."""

    operation: Operation
    new_instance: NewInstance


def pending_instance(creation: PendingCreation, *, os: str = "") -> InstanceView:
    """Return the view of an instance whose creation is under way or has failed."""
    return InstanceView(
        host=creation.operation.host,
        instance=_ordered_instance(creation, os),
        encoded_sample=None,
        sampled_at=None,
        creation=creation.operation,
    )


def _ordered_instance(creation: PendingCreation, os: str) -> Instance:
    operation, new_instance = creation
    return Instance(
        name=operation.instance,
        uuid=operation.uuid,
        type=new_instance.type,
        status=NOT_CREATED if operation.final else CREATING,
        architecture="",
        created_at=operation.created_at,
        project=operation.project,
        description=new_instance.description,
        cpu_limit=str(new_instance.cpu),
        memory_limit=new_instance.memory,
        root_size=new_instance.disk,
        display_name=new_instance.display_name,
        labels=new_instance.labels,
        operation_id=operation.operation_id,
        auto_start=new_instance.auto_start,
        os=os,
        networks=(new_instance.network,) if new_instance.network else (),
        limits=_effective_limits(new_instance.limits),
    )


def _effective_limits(new_instance: Limits) -> Limits:
    return Limits(**{field: limit or None for field, limit in asdict(new_instance).items()})


def missing_references(
    vm: NewVm, catalogue: Sequence[Template], hosts: Sequence[HostView]
) -> dict[str, list[str]]:
    """Return the fields with unknown names, each with the valid names.

    If the request names its host, that host's names are valid. Before any host has reported its
    resources, nothing counts as unknown.
    """
    missing = {}
    ids = [view.host for view in hosts]
    if vm.host not in {"", *ids}:
        missing["host"] = ids
    reporting = [view for view in hosts if view.resources]
    relevant = [view for view in reporting if view.host == vm.host] or reporting
    return missing | _missing(vm, catalogue, relevant) if relevant else missing


def _missing(
    vm: NewVm, catalogue: Sequence[Template], hosts: Sequence[HostView]
) -> dict[str, list[str]]:
    reporting = [view.resources for view in hosts if view.resources]
    networks = sorted({network.name for each in reporting for network in each.networks})
    projects = sorted({project for each in reporting for project in each.projects})
    missing = {}
    if vm.network not in {"", *networks}:
        missing["network"] = networks
    if vm.project not in projects:
        missing["project"] = projects
    if templates.find_template(vm.template, catalogue, hosts) is None:
        available = templates.list_templates(catalogue, hosts)
        missing["template"] = templates.suggest(vm.template, available)
    return missing
