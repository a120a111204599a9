"""The service while its broker is away."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from deploy.local.processes import free_port
from shared.contracts.errors import DatabaseUnavailable
from tests.support.broker import OwnBroker, Vhost
from tests.support.polling import wait_until
from tests.support.snapshots import PlanHost, PolicyCaller, a_policy, a_run, processes

PATIENCE_S = 60.0


def test_the_service_survives_a_broker_that_restarts_and_goes_on_with_plans_and_runs(
    own_broker: OwnBroker, tmp_path: Path
) -> None:
    for user in ("snapshots", "h1"):
        _ = own_broker.snapshots_uri if user == "snapshots" else own_broker.host_uri(user)
    with processes(own_broker, tmp_path) as start:
        service = start()
        host = PlanHost(own_broker, "h1")
        host.start()
        with contextlib.closing(PolicyCaller(own_broker.uri)) as caller:
            caller.wait_until_it_answers(service)
            policy = caller.create(a_policy())
            wait_until(lambda: host.plan, within_s=PATIENCE_S, seen=lambda: service.log)
        host.stop()

        own_broker.kill()
        own_broker.start()

        host.recorded.append(a_run(1))
        host.start()
        with contextlib.closing(PolicyCaller(own_broker.uri)) as caller:
            caller.wait_until_it_answers(service)
            caller.update(replace(policy, pattern="after-{time}"))
            wait_until(
                lambda: host.plan and host.plan.policies[0].pattern == "after-{time}",
                within_s=PATIENCE_S,
                seen=lambda: service.log,
            )
            wait_until(lambda: len(caller.runs().runs) == 1, within_s=PATIENCE_S)
        host.stop()
        assert service.process.poll() is None
        assert service.stop() == 0


def test_a_service_whose_broker_is_away_ends_in_order(
    own_broker: OwnBroker, tmp_path: Path
) -> None:
    with processes(own_broker, tmp_path) as start:
        service = start()
        wait_until(lambda: service.leads, within_s=PATIENCE_S, seen=lambda: service.log)
        own_broker.kill()

        assert service.stop() == 0


def test_a_locked_database_is_told_and_holds_up_nothing_else(vhost: Vhost, tmp_path: Path) -> None:
    port = free_port()
    with processes(vhost, tmp_path) as start:
        service = start(FLEET_METRICS_BIND=f"127.0.0.1:{port}")
        with contextlib.closing(PolicyCaller(vhost.uri)) as caller:
            caller.wait_until_it_answers(service)
            with contextlib.closing(sqlite3.connect(tmp_path / "snapshots.db")) as other:
                other.execute("begin exclusive")
                with pytest.raises(DatabaseUnavailable):
                    caller.create(a_policy())
                # The process goes on: its metrics are served while the transaction waits.
                call = caller.send("policies", '{"args": [], "kwargs": {}}')
                begun = time.monotonic()
                httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status()
                assert time.monotonic() - begun < 2.0
                other.rollback()
            assert call
            wait_until(
                lambda: caller.create(a_policy()),
                within_s=PATIENCE_S,
                ignoring=(DatabaseUnavailable, TimeoutError),
            )
        assert service.leads


def test_a_service_waits_for_its_database_and_can_be_ended_meanwhile(
    vhost: Vhost, tmp_path: Path
) -> None:
    with processes(vhost, tmp_path) as start:
        service = start(database=f"postgresql://nobody@/nothing?host={tmp_path}")
        wait_until(
            lambda: "database not reached" in service.log,
            within_s=PATIENCE_S,
            seen=lambda: service.log,
        )

        assert service.stop() == -signal.SIGTERM
