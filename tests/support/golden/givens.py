"""What may have happened to the golden fleet before it is asked; the names stand in the files."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from shared.contracts import errors
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.errors import FleetError
from shared.contracts.instance_config import GuestCommand
from shared.contracts.operations import Failure, State
from shared.contracts.policies import (
    InstanceSimulation,
    RunsStarted,
    RunState,
    Selection,
    Simulation,
    SimulationRequest,
)
from shared.contracts.policy_api import HostRun, PlanStatus
from shared.policies.retention import Held
from shared.policies.simulation import simulate
from tests.support.builders import AT, a_heartbeat, a_policy, a_run
from tests.support.golden.exchanges import Given
from tests.support.golden.fleet import WEB, GoldenGateway

# The id of a policy that is there.
POLICY = "00000000-0000-0000-0000-0000000000f1"


def nothing_ends(gateway: GoldenGateway) -> None:
    gateway.workers.ends = None


def the_database_is_away(gateway: GoldenGateway) -> None:
    gateway.core.store.away = gateway.core.store.notes.away = True
    gateway.core.host_store.away = True
    gateway.health.database = False


def the_broker_is_away(gateway: GoldenGateway) -> None:
    gateway.health.broker_connected = False
    gateway.workers.unreachable = dict.fromkeys(("h1", "h2"), errors.BrokerUnavailable())


def there_are_policies(gateway: GoldenGateway) -> None:
    nightly = a_policy(
        POLICY,
        selection=Selection(names=("*",)),
        revision=3,
        pre=GuestCommand(command=("/bin/login", "--password=secret")),
    )
    disabled = a_policy("p-off", name="off", enabled=False, selection=Selection())
    gateway.centre.policies = {each.id: each for each in (nightly, disabled)}
    gateway.centre.runs = [
        HostRun(host="h1", run=a_run(uuid=WEB.uuid)),
        HostRun(host="h2", run=a_run("run-2", state=RunState.SKIPPED, code="busy", snapshot="")),
    ]
    gateway.centre.cursor = "c-2"
    plan = PlanStatus(host="h1", plan_version=12, digest="a" * 64)
    carried = replace(
        plan, carried_version=12, carried_digest="a" * 64, clock_trusted=True, reported_at=AT
    )
    gateway.centre.plans = [carried, replace(plan, host="h3", plan_version=13)]
    gateway.workers.answers = {"run_policy": _run_policy, "simulate_policy": _simulate_policy}


def _run_policy(host: str, wired: object) -> object:
    if host == "h2":
        raise errors.PolicyNotFound(POLICY)
    return to_wire(RunsStarted(instances=4))


def _simulate_policy(host: str, wired: object) -> object:
    request = from_wire(SimulationRequest, wired)
    held = [Held("daily-20261117T124500Z", datetime(2026, 11, 17, 12, 45, tzinfo=UTC))]
    start = datetime(2026, 11, 18, 11, tzinfo=UTC)
    found = simulate(request.policy, host, "web", held, start, min(request.days, 2))
    vm = InstanceSimulation(name="web", uuid=WEB.uuid, events=found.events, snapshots=found.judged)
    return to_wire(Simulation(selected=8, instances=[vm]))


def the_snapshots_service_is_away(gateway: GoldenGateway) -> None:
    gateway.centre.refusal = errors.SnapshotsUnavailable()


def the_snapshots_service_is_silent(gateway: GoldenGateway) -> None:
    gateway.centre.loses_answers = True


def the_broker_is_blocked(gateway: GoldenGateway) -> None:
    gateway.health.broker_blocked = "memory"


def answers_of_workers_are_lost(gateway: GoldenGateway) -> None:
    gateway.workers.loses_answers, gateway.workers.ends = True, None


def h1_reports_as_another(gateway: GoldenGateway) -> None:
    gateway.hear("h1", a_heartbeat(fingerprint="another"))


def an_operation_goes_on(gateway: GoldenGateway) -> None:
    gateway.go_on("op-1")


def an_operation_has_failed(gateway: GoldenGateway) -> None:
    failure = Failure(code="lxd_refused", values=["no space"], log="lxc start: no space\nexit 1")
    gateway.go_on("op-1", state=State.FAILED, failure=failure, finished_at=AT)


def an_operation_is_unknown(gateway: GoldenGateway) -> None:
    gateway.go_on("op-1", state=State.UNKNOWN, finished_at=AT)


def lxd_has_written_a_log(gateway: GoldenGateway) -> None:
    gateway.workers.log = "lxc 20260123113000.000 ERROR conf\nsecond line\n"


def hosts_are_busy(gateway: GoldenGateway) -> None:
    gateway.workers.refusals = {host: errors.HostBusy(host) for host in ("h1", "h2")}


def the_guest_has_no_chpasswd(gateway: GoldenGateway) -> None:
    _fail(gateway, errors.PasswordNotSet("web", "there is no chpasswd in it"))


def the_gateway_stands_under_a_path(gateway: GoldenGateway) -> None:
    gateway.under(root_path="/panel")


def worker_says(error: FleetError) -> Given:
    """Return a fleet of which no worker does anything but refuse with this error."""

    def refuses(gateway: GoldenGateway) -> None:
        gateway.go_on("op-1")
        gateway.workers.failing = dict.fromkeys(
            ("submit", "prepare", "cancel", "snapshots", "instance_log"), error
        )

    refuses.__name__ = f"workers_refuse_with_{error.code}"
    return refuses


def operation_fails(error: FleetError, log: str = "") -> Given:
    """Return a fleet whose workers accept everything, and then fail with this error."""

    def fails(gateway: GoldenGateway) -> None:
        _fail(gateway, error, log)

    fails.__name__ = f"operations_fail_with_{error.code}"
    return fails


def operation_ends(state: State) -> Given:
    """Return a fleet whose operations all end so."""

    def ends(gateway: GoldenGateway) -> None:
        gateway.workers.ends = {"state": state}

    ends.__name__ = f"operations_end_as_{state}"
    return ends


def _fail(gateway: GoldenGateway, error: FleetError, log: str = "") -> None:
    failure = Failure(code=error.code, values=list(error.values), message=str(error), log=log)
    gateway.workers.ends = {"state": State.FAILED, "failure": failure}
