"""A request for a new instance: what it names, what it needs, and the order that becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import asdict

from services.gateway.fleet.capacity import Amount
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.vms import templates
from services.gateway.vms.placement import Requirements, Rule
from services.gateway.vms.templates import Template
from shared.contracts.changes import NO_LIMITS, ImageSource, Limits, NewInstance
from shared.contracts.instances import DEFAULT_PROJECT, Instance
from shared.contracts.operations import Operation, Secrets
from shared.contracts.status import Status


@dataclass(frozen=True, slots=True)
class NewVm:
    """What a caller asks for. `name` is what people call it; sizes are bytes.

    `template` names one that is listed. `type` is empty where that of the host's image will do,
    `network` where that of the profiles will; `host` is empty where `rule` shall choose.
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
    # Left out of what a log would print.
    cloud_init: str = field(default="", repr=False)
    root_password: str = field(default="", repr=False)

    def needs(self, template: Template) -> Requirements:
        """Return what a host must have for it."""
        return Requirements(
            template=template,
            type=self.type,
            amount=self.amount,
            network=self.network,
            project=self.project,
            ports=self.ssh or self.ports > 0,
        )

    def order(self, kind: str, image: ImageSource) -> NewInstance:
        """Return what the host's worker is told, beside the secrets."""
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
        """Return what no database may hold, nor any host that does not run the instance."""
        secrets = Secrets(cloud_init=self.cloud_init, root_password=self.root_password)
        return secrets if secrets.given() else None


# The status of an instance that LXD has not completed yet, and of one that it could not make.
CREATING, NOT_CREATED = "Creating", Status.ERROR


class PendingCreation(NamedTuple):
    """A creation that was submitted, and what it shall make."""

    operation: Operation
    ordered: NewInstance


def pending_instance(begun: PendingCreation, *, host_online: bool, os: str = "") -> InstanceView:
    """Return the instance of a creation that has not ended, or could not, as it was ordered."""
    return InstanceView(
        host=begun.operation.host,
        host_online=host_online,
        age_s=0.0,
        instance=_ordered_instance(begun, os),
        sample=None,
        sampled_at=None,
        creation=begun.operation,
    )


def _ordered_instance(begun: PendingCreation, os: str) -> Instance:
    operation, ordered = begun
    return Instance(
        name=operation.instance,
        uuid=operation.uuid,
        type=ordered.type,
        status=NOT_CREATED if operation.final else CREATING,
        architecture="",
        created_at=operation.created_at,
        project=operation.project,
        description=ordered.description,
        cpu_limit=str(ordered.cpu),
        memory_limit=ordered.memory,
        root_size=ordered.disk,
        display_name=ordered.display_name,
        labels=ordered.labels,
        operation_id=operation.operation_id,
        auto_start=ordered.auto_start,
        os=os,
        networks=(ordered.network,) if ordered.network else (),
        limits=_in_force(ordered.limits),
    )


def _in_force(ordered: Limits) -> Limits:
    return Limits(**{field: limit or None for field, limit in asdict(ordered).items()})


def missing_references(
    vm: NewVm, catalogue: Sequence[Template], hosts: Sequence[HostView]
) -> dict[str, list[str]]:
    """Return the fields that name what is not there, each with what is there instead.

    A request that names its host means what that one has. As long as no host that is meant has said
    what it has, nothing of it can be called missing.
    """
    wrong = {}
    ids = [known.host for known in hosts]
    if vm.host not in {"", *ids}:
        wrong["host"] = ids
    told = [known for known in hosts if known.resources]
    meant = [known for known in told if known.host == vm.host] or told
    return wrong | _missing(vm, catalogue, meant) if meant else wrong


def _missing(
    vm: NewVm, catalogue: Sequence[Template], meant: Sequence[HostView]
) -> dict[str, list[str]]:
    told = [known.resources for known in meant if known.resources]
    networks = sorted({network.name for each in told for network in each.networks})
    projects = sorted({project for each in told for project in each.projects})
    missing = {}
    if vm.network not in {"", *networks}:
        missing["network"] = networks
    if vm.project not in projects:
        missing["project"] = projects
    if templates.find_template(vm.template, catalogue, meant) is None:
        there = templates.list_templates(catalogue, meant)
        missing["template"] = templates.suggest(vm.template, there)
    return missing
