"""What may have happened to the golden fleet before it is asked; the names stand in the files."""

from __future__ import annotations

from shared.contracts import errors
from shared.contracts.errors import FleetError
from shared.contracts.operations import Failure, State
from tests.support.builders import AT, a_heartbeat
from tests.support.golden.exchanges import Given
from tests.support.golden.fleet import GoldenGateway


def nothing_ends(gateway: GoldenGateway) -> None:
    gateway.workers.ends = None


def the_database_is_away(gateway: GoldenGateway) -> None:
    gateway.core.store.away = gateway.core.store.notes.away = True
    gateway.core.host_store.away = True
    gateway.health.database = False


def the_broker_is_away(gateway: GoldenGateway) -> None:
    gateway.health.broker_connected = False
    gateway.workers.unreachable = dict.fromkeys(("h1", "h2"), errors.BrokerUnavailable())


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
