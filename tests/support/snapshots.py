"""The snapshots service as a process, a gateway that calls it, and hosts that take its plans."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import amqp
import psutil

from shared.contracts.codec import encode, from_wire, to_wire
from shared.contracts.errors import BY_CODE, FleetError, SnapshotsUnavailable
from shared.contracts.events import Event, PolicyRunChanged, ProtectionReported
from shared.contracts.policies import (
    Plan,
    Policy,
    PolicyRun,
    PolicyRunPage,
    Retention,
    RunState,
    Schedule,
    Selection,
    slot_operation,
)
from shared.contracts.policy_api import PlanStatus, RunPage, RunQuery
from shared.platform.bus import topology
from tests.support.broker import OwnBroker, Vhost
from tests.support.builders import a_heartbeat
from tests.support.caller import connect
from tests.support.daemons import ROOT
from tests.support.polling import wait_until

ERRORS = {error.__name__: error for error in BY_CODE.values()}
PATIENCE_S = 30.0
BEAT_S = 1.0


def a_policy(name: str = "nightly", **changes: Any) -> Policy:
    """Return a policy for all instances of all hosts; its id follows from its name."""
    fields: dict[str, Any] = {
        "id": f"id-{name}",
        "name": name,
        "schedule": Schedule(cron="0 3 * * *"),
        "selection": Selection(names=("*",)),
        "retention": Retention(keep_last=3),
    }
    return Policy(**(fields | changes))


def a_run(sequence: int, slot: str = "2026-11-29T03:00:00Z", **changes: Any) -> PolicyRun:
    """Return a run of the policy `nightly` for the instance `web`."""
    fields: dict[str, Any] = {
        "operation_id": slot_operation("id-nightly", "uuid-web", slot),
        "policy_id": "id-nightly",
        "policy": "nightly",
        "revision": 1,
        "slot": slot,
        "instance": "web",
        "uuid": "uuid-web",
        "state": RunState.TAKEN,
        "sequence": sequence,
    }
    return PolicyRun(**(fields | changes))


class ServiceProcess:
    """A copy of the service; `log` is what it wrote to standard error."""

    def __init__(self, uri: str, database: str, state_dir: Path, **env: str) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._log = state_dir / "log"
        self._env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FLEET_AMQP_URI": uri,
            "FLEET_SNAPSHOTS_DATABASE_URL": database,
            "FLEET_STATE_DIR": str(state_dir),
            **env,
        }
        self.start()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def cpu_s(self) -> float:
        """The CPU time that it has used."""
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    @property
    def leads(self) -> bool:
        begun, ended = self.log.count('this copy leads"'), self.log.count("leads no longer")
        return begun > ended

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.snapshots"], cwd=ROOT, stderr=log, env=self._env
            )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


class PolicyCaller:
    """Calls the service as a gateway does."""

    def __init__(self, uri: str) -> None:
        self._connection = connect(uri)
        self._channel = self._connection.channel()
        self._reply_to = uuid.uuid4().hex
        queue = self._channel.queue_declare("", exclusive=True).queue
        self._channel.queue_bind(queue, "nameko-rpc", self._reply_to)
        self._channel.basic_consume(queue, callback=self._take, no_ack=True)
        self._channel.events["basic_return"].add(self._on_return)
        self._answers: dict[str, Any] = {}
        self._returned = False

    def close(self) -> None:
        with contextlib.suppress(OSError, amqp.AMQPError):
            self._connection.close()

    def create(self, policy: Policy) -> Policy:
        return from_wire(Policy, self.call("create", to_wire(policy)))

    def update(self, policy: Policy) -> Policy:
        return from_wire(Policy, self.call("update", to_wire(policy)))

    def delete(self, policy_id: str, revision: int = 0) -> None:
        self.call("delete", policy_id, revision)

    def policies(self) -> list[Policy]:
        return [from_wire(Policy, each) for each in self.call("policies")["policies"]]

    def runs(self, **query: Any) -> RunPage:
        return from_wire(RunPage, self.call("runs", to_wire(RunQuery(**query))))

    def plan(self, host: str) -> PlanStatus | None:
        """Return what the service says of the host's plan."""
        plans = [from_wire(PlanStatus, each) for each in self.call("plans")["plans"]]
        return next((each for each in plans if each.host == host), None)

    def call(self, method: str, *arguments: object, timeout_s: float = 15.0) -> Any:
        """Return the answer; raise the error in it, or SnapshotsUnavailable."""
        sent = self.send(method, json.dumps({"args": arguments, "kwargs": {}}))
        end = time.monotonic() + timeout_s
        while sent not in self._answers:
            self._connection.drain_events(timeout=max(0.01, end - time.monotonic()))
        answer = self._answers.pop(sent)
        if error := answer["error"]:
            raise _error(error)
        return answer["result"]

    def send(self, method: str, body: str | bytes, **properties: Any) -> str:
        """Publish a call; raise SnapshotsUnavailable if nobody takes it."""
        sent = uuid.uuid4().hex
        given = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "correlation_id": sent,
            "reply_to": self._reply_to,
        }
        message = amqp.Message(body, **(given | properties))
        self._returned = False
        self._channel.basic_publish_confirm(
            message, "nameko-rpc", f"snapshots.{method}", mandatory=True
        )
        if self._returned:
            raise SnapshotsUnavailable
        return sent

    def wait_until_it_answers(self, service: ServiceProcess) -> None:
        wait_until(
            lambda: self.call("policies", timeout_s=2.0),
            within_s=PATIENCE_S,
            ignoring=(SnapshotsUnavailable, TimeoutError),
            seen=lambda: service.log,
        )

    def _take(self, message: Any) -> None:
        self._answers[message.properties.get("correlation_id", "")] = json.loads(message.body)

    def _on_return(self, *_: object) -> None:
        self._returned = True


def _error(error: dict[str, Any]) -> Exception:
    kind = ERRORS.get(error["exc_type"])
    return kind(*error["exc_args"]) if kind else AssertionError(error)


class PlanHost:
    """A host whose worker takes plans, and reports them; it runs in a thread of its own.

    `trusted` is whether it trusts its clock once it has a plan, `reports` whether it reports at
    all. `recorded` are the runs of its own record.
    """

    def __init__(self, broker: Vhost | OwnBroker, host: str, *, trusted: bool = True) -> None:
        self.host = host
        self.trusted = trusted
        self.reports = True
        self.plans: list[Plan] = []
        self.recorded: list[PolicyRun] = []
        self.on_call: Callable[[Any], object] = lambda message: None
        self.epoch = int(time.time())
        self._broker = broker
        self._uri = broker.host_uri(host)
        self.exchange = broker.host_exchange(host)
        self._queue = topology.calls_queue(host, topology.password_of(self._uri))
        self._stopping = threading.Event()
        self._publishing = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def plan(self) -> Plan | None:
        """The plan that it carries out: the newest."""
        return max(self.plans, key=lambda each: each.plan_version, default=None)

    def start(self) -> None:
        """Connect; until `stop` it sends heartbeats and takes calls."""
        with contextlib.closing(connect(self._broker.uri)) as central:
            channel = central.channel()
            channel.queue_declare(self._queue, auto_delete=True)
            channel.queue_bind(self._queue, "fleet.calls", f"lxd_worker.{self.host}.*")
            channel.exchange_declare(self.exchange, "topic", durable=True, auto_delete=False)
            key = topology.heartbeat_key(self.host)
            channel.exchange_bind("fleet.heartbeats", self.exchange, key)
        self.epoch += 1
        self._stopping.clear()
        self._out = connect(self._uri)
        self._channel = self._out.channel()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread:
            self._thread.join()
        with contextlib.suppress(OSError, amqp.AMQPError):
            self._out.close()

    def report(self) -> None:
        """Publish which plan it has, unless it is told not to."""
        if not self.reports:
            return
        plan = self.plan
        self.publish(
            ProtectionReported(
                epoch=self.epoch,
                at="2026-11-29T03:00:00Z",
                plan_version=plan.plan_version if plan else 0,
                digest=plan.digest if plan else "",
                clock_trusted=self.trusted if plan else False,
            )
        )

    def publish_run(self, run: PolicyRun) -> None:
        """Record a run, and publish it."""
        self.recorded.append(run)
        self.publish(PolicyRunChanged(run=run))

    def publish(self, event: Event, key: str = "") -> None:
        self.publish_raw(encode(event), key or topology.event_key(self.host, event))

    def publish_raw(self, body: bytes, key: str, message: amqp.Message | None = None) -> None:
        sent = message or amqp.Message(body, content_type="application/json")
        with self._publishing:
            self._channel.basic_publish_confirm(sent, self.exchange, key)

    def _run(self) -> None:
        with (
            contextlib.suppress(OSError, amqp.AMQPError),
            contextlib.closing(connect(self._uri)) as connection,
        ):
            channel = connection.channel()
            channel.basic_consume(self._queue, callback=self._take, no_ack=True)
            beat_at = 0.0
            while not self._stopping.is_set():
                if time.monotonic() - beat_at > BEAT_S:
                    beat_at = time.monotonic()
                    self.publish(a_heartbeat(epoch=self.epoch))
                    self.report()
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.05)

    def _take(self, message: Any) -> None:
        self.on_call(message)
        method = message.delivery_info["routing_key"].rpartition(".")[2]
        arguments = json.loads(message.body)["args"]
        result: object = None
        if method == "set_plan":
            self.plans.append(from_wire(Plan, arguments[0]))
            self.report()
        elif method == "policy_runs_since":
            sequence, limit = arguments
            later = [run for run in self.recorded if run.sequence > sequence]
            later.sort(key=lambda run: run.sequence)
            result = to_wire(PolicyRunPage(runs=later[:limit], more=len(later) > limit))
        answer = amqp.Message(
            json.dumps({"result": result, "error": None}),
            content_type="application/json",
            correlation_id=message.properties["correlation_id"],
        )
        with self._publishing:
            self._channel.basic_publish_confirm(
                answer, self.exchange, message.properties["reply_to"]
            )


StartService = Callable[..., ServiceProcess]
StartHost = Callable[..., PlanHost]


@contextmanager
def processes(broker: Vhost | OwnBroker, folder: Path) -> Iterator[StartService]:
    """A function that starts copies of the service, each with its own state."""
    topology.declare(broker.uri)
    started: list[ServiceProcess] = []

    def start(name: str = "a", database: str = "", **env: str) -> ServiceProcess:
        url = database or f"sqlite:///{folder}/snapshots.db"
        service = ServiceProcess(broker.snapshots_uri, url, folder / name, **env)
        started.append(service)
        return service

    try:
        yield start
    finally:
        for service in started:
            service.kill()


__all__ = ["FleetError", "PlanHost", "PolicyCaller", "ServiceProcess", "a_policy", "a_run"]
