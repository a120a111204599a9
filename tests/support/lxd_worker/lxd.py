"""An LXD that a test scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from msgspec.structs import replace

from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.instances.observation import InitProcess, InstanceConfig, Observation
from services.lxd_worker.instances.parked_roots import ParkedRoot
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.protocols import (
    InstanceAnswer,
    LxdOperation,
    LxdServer,
    ObservedInstance,
    ParkedRoots,
    RootOwner,
)
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    Cancelled,
    FleetError,
    InstanceNotFound,
    LxdBusy,
    LxdUnavailable,
    SnapshotNotFound,
)
from shared.contracts.instance_config import GuestCommand
from shared.contracts.instances import Instance, Proxy
from shared.contracts.worker_api import Snapshot
from shared.lxd.models import SnapshotContent
from tests.support.clock import FakeClock
from tests.support.lxd_worker import swap_effects
from tests.support.lxd_worker.config_effects import effect_on
from tests.support.lxd_worker.observations import described


class FakeLxd:
    """An LXD with instances; each request takes `takes_s` of the clock, else no time.

    Scripted by the test: `refuses` are steps that end with an error, `unanswered` those that LXD
    carries out while its answer is lost, `unheard` those that never reach it, `claims` those that
    it says it has done while it has not. `away` counts the requests of any kind that get no answer
    first. Each of the steps fails like that only once.
    `busy` is how often a step is refused because LXD does something else, `busy_at_once` whether
    that is said before it is taken on. `logs` are what it has written, by the instances' names.
    `new_uuid` is what LXD gives an instance without one when it starts; `on_wait` and `on_read`
    are called once, when somebody waits, or reads an instance for an operation. `requests` are what
    LXD was asked to make, `limits` further fields of instances by their names. `half_made`: it
    leaves a creation in the middle. `progress` is how far it says that it is. `passwords` are those
    that guests were given, `noted` those written down.
    `until` is when each root that is set aside is to go, by its name. `used` are instances that LXD
    works with; `ran` are the commands in guests, `failing` those that fail, by their programs, and
    `on_command` is called in the middle of each. `contents`, `created_at` and `expires_at` are of
    snapshots, by the names of both.
    """

    def __init__(self, clock: FakeClock, **holds: Observation) -> None:
        self.holds = {name: replace(look, name=name) for name, look in holds.items()}
        self.asked: list[Step] = []
        self.refuses: dict[Step, FleetError] = {}
        self.unanswered: set[Step] = set()
        self.unheard: set[Step] = set()
        self.claims: set[Step] = set()
        self.takes_s: dict[Step, float] = {}
        self.cancellable = False
        self.forgetful = False
        self.new_uuid = ""
        self.limits: dict[str, dict[str, Any]] = {}
        self.requests: list[Mapping[str, Any]] = []
        self.half_made = False
        self.devices_in_snapshot: Devices = {}
        self.progress: int | None = None
        self.passwords: dict[str, str] = {}
        self.noted: dict[str, str] = {}
        self.on_wait: Callable[[], object] | None = None
        self.on_read: Callable[[], object] | None = None
        self.busy: dict[Step, int] = {}
        self.busy_at_once = False
        self.logs: dict[str, str] = {}
        self.away = 0
        self.looks = 0
        self.until: dict[str, int] = {}
        self.used: set[str] = set()
        self.contents: dict[tuple[str, str], SnapshotContent] = {}
        self.ran: list[tuple[str, ...]] = []
        self.failing: dict[str, FleetError] = {}
        self.on_command: Callable[[GuestCommand], object] | None = None
        self.created_at: dict[tuple[str, str], str] = {}
        self.expires_at: dict[tuple[str, str], str] = {}
        self.refuses_to_discard: dict[str, FleetError] = {}
        self.memory: dict[tuple[str, str], Instance] | None = None
        self._clock = clock
        self._operations: dict[str, _Request] = {}
        self._pids = count(200)
        self._revisions = count(1)

    def server(self) -> LxdServer:
        self._answer()
        return LxdServer(fingerprint="f" * 64, version="5.0.2", kind="lxd", name="machine")

    def instances(self) -> list[Instance]:
        self._answer()
        revision = next(self._revisions)
        return [
            self._described(name, look, revision)
            for name, look in self.holds.items()
            if look.parked_as != name
        ]

    def instance(self, project: str, name: str) -> ObservedInstance:
        self._answer()
        found = self.holds.get(name)
        found = None if found and found.parked_as == name else found
        revision = next(self._revisions)
        return ObservedInstance(revision, self._described(name, found, revision) if found else None)

    def read(self, project: str, name: str) -> InstanceAnswer:
        called, self.on_read = self.on_read, None
        if called:
            called()
        reported = self.instance(project, name)
        self.looks += 1
        found = self._look(name)
        return InstanceAnswer(reported, _briefly(found) if found else None)

    def cached_instances(self) -> dict[tuple[str, str], Instance] | None:
        return self.memory

    def observe(self, project: str, name: str) -> Observation | None:
        self._answer()
        self.looks += 1
        found = self._look(name)
        return replace(found, snapshots=(), root_used=None) if found else None

    def observe_fully(self, project: str, name: str) -> Observation | None:
        self._answer()
        self.looks += 1
        return self._look(name)

    def observe_snapshots(self, project: str, name: str) -> Observation | None:
        self._answer()
        self.looks += 1
        found = self._look(name)
        return replace(_briefly(found), snapshots=found.snapshots) if found else None

    def observe_briefly(self, project: str, name: str) -> Observation | None:
        self._answer()
        found = self._look(name)
        return _briefly(found) if found else None

    def observe_init(self, observed: Observation, project: str) -> Observation | None:
        return self.observe(project, observed.name)

    def parked_roots(self) -> ParkedRoots:
        self._answer()
        aside = [
            ParkedRoot(project="default", name=name, uuid=look.uuid, until=self.until.get(name, 0))
            for name, look in self.holds.items()
            if look.parked_as == name
        ]
        owners = [
            RootOwner("default", name, look.uuid, self.limits.get(name, {}).get("trash"))
            for name, look in self.holds.items()
            if look.parked_as != name
        ]
        return ParkedRoots(tuple(aside), tuple(owners))

    def delete_parked(self, root: ParkedRoot) -> None:
        self._answer()
        if error := self.refuses_to_discard.get(root.name):
            raise error
        del self.holds[root.name]

    def forget_trash(self, project: str, name: str) -> None:
        self._answer()
        if error := self.refuses_to_discard.get(name):
            raise error
        self.limits[name]["trash"] = None

    def snapshots(self, project: str, name: str) -> list[Snapshot]:
        self._answer()
        found = self.holds.get(name)
        return [self._snapshot(name, one) for one in found.snapshots] if found else []

    def start_log(self, project: str, name: str) -> str | None:
        self._answer()
        return self.logs.get(name)

    def snapshot_devices(self, project: str, name: str, snapshot: str) -> Devices:
        self._answer()
        return self.devices_in_snapshot

    def snapshot_content(self, project: str, name: str, snapshot: str) -> SnapshotContent | None:
        self._answer()
        return self.contents.get((name, snapshot))

    def request(self, step: Step, entry: JournalEntry) -> str:
        self._answer()
        name = entry.operation.instance
        if step in self.unheard:
            self.unheard.remove(step)
            raise LxdUnavailable("h1")
        if swap_effects.target(step, entry) not in self.holds:
            raise InstanceNotFound(name)
        meant = entry.operation.arguments
        made_at = self.created_at.get((name, meant.snapshot), "")
        if meant.snapshot_created_at and meant.snapshot_created_at != made_at:
            raise SnapshotNotFound(name, meant.snapshot)
        return self._begin(_Request(step, name, entry))

    def create(self, project: str, body: Mapping[str, Any]) -> str:
        self._answer()
        if Step.CREATE in self.unheard:
            self.unheard.remove(Step.CREATE)
            raise LxdUnavailable("h1")
        self.requests.append(body)
        return self._begin(_Request(Step.CREATE, body["name"]))

    def _begin(self, request: _Request) -> str:
        step = request.step
        operation_id = f"lxd-{len(self._operations)}"
        if self.busy.get(step):
            self.busy[step] -= 1
            request.over, request.error = (
                True,
                LxdBusy('Instance is busy running a "stop" operation'),
            )
            if self.busy_at_once:
                raise request.error
            self._operations[operation_id] = request
            return operation_id
        self.asked.append(step)
        request.ends_at = self._clock.monotonic() + self.takes_s.get(step, 0.0)
        self._operations[operation_id] = request
        self._settle()
        if step in self.unanswered:
            self.unanswered.remove(step)
            raise LxdUnavailable("h1")
        return operation_id

    def set_password(self, project: str, name: str, password: str) -> None:
        self._answer()
        self._at_once(Step.SET_PASSWORD, name)
        self.passwords[name] = password

    def note_password(self, project: str, name: str, password: str) -> None:
        self._answer()
        self._at_once(Step.NOTE_PASSWORD, name)
        self.noted[name] = password

    def run_command(self, project: str, name: str, command: GuestCommand) -> None:
        self._answer()
        self.ran.append(command.command)
        self._clock.sleep(self.takes_s.get(Step.RUN_PRE, 0.0))
        if (called := self.on_command) is not None:
            called(command)
        if error := self.failing.get(command.command[0]):
            raise error
        if Step.RUN_PRE in self.unanswered:
            self.unanswered.remove(Step.RUN_PRE)
            raise LxdUnavailable("h1")

    def _at_once(self, step: Step, name: str) -> None:
        """Take a step of which LXD has no operation."""
        if name not in self.holds:
            raise InstanceNotFound(name)
        self.asked.append(step)
        if step in self.unanswered:
            self.unanswered.remove(step)
            raise LxdUnavailable("h1")
        if step in self.refuses:
            raise self.refuses[step]

    def wait(self, lxd_operation: str, timeout_s: float) -> LxdOperation | None:
        self._answer()
        request = self._operations.get(lxd_operation)
        if request is None or self.forgetful:
            return None
        called, self.on_wait = self.on_wait, None
        if called:
            called()
        self._clock.sleep(max(0.0, min(timeout_s, request.ends_at - self._clock.monotonic())))
        self._settle()
        return LxdOperation(running=not request.over, error=request.error, progress=self.progress)

    def cancel(self, lxd_operation: str) -> bool:
        self._answer()
        request = self._operations[lxd_operation]
        if self.cancellable and not request.over:
            request.over, request.error = True, Cancelled()
            request.ends_at = self._clock.monotonic()
            return True
        return False

    def running_operations(self, project: str, name: str) -> list[str]:
        self._answer()
        self._settle()
        return [
            one
            for one, request in self._operations.items()
            if request.name == name and not request.over
        ]

    def is_in_use(self, project: str, name: str) -> bool:
        return bool(self.running_operations(project, name)) or name in self.used

    def _snapshot(self, name: str, snapshot: str) -> Snapshot:
        key = (name, snapshot)
        created_at, expires_at = self.created_at.get(key, ""), self.expires_at.get(key, "")
        return Snapshot(name=snapshot, created_at=created_at, expires_at=expires_at)

    def _look(self, name: str) -> Observation | None:
        found = self.holds.get(name)
        return replace(found, name=name) if found else None

    def _answer(self) -> None:
        if self.away > 0:
            self.away -= 1
            raise LxdUnavailable("h1")

    def _settle(self) -> None:
        for request in self._operations.values():
            if not request.over and request.ends_at <= self._clock.monotonic():
                request.over = True
                request.error = self.refuses.get(request.step)
                makes = request.step in (Step.CREATE, Step.BUILD)
                if request.error is None or (makes and self.half_made):
                    self._take_effect(request)

    def _described(self, name: str, look: Observation, revision: int) -> Instance:
        return replace(described(name, look, revision), **self.limits.get(name, {}))

    def _make(self, name: str) -> None:
        request = self.requests[-1]
        config, devices = request["config"], request["devices"]
        proxies = tuple(
            Proxy(device=key, listen=device["listen"], connect=device["connect"])
            for key, device in devices.items()
            if device["type"] == "proxy"
        )
        self.holds[name] = Observation(
            status="Stopped",
            uuid=config["volatile.uuid"],
            created_at=self._clock.now(),
            last_used_at="1970-01-01T00:00:00Z",
            complete=not self.half_made,
            name=name,
            config=InstanceConfig(
                cpu_limit=config.get("limits.cpu", ""),
                memory_limit=int(config.get("limits.memory", 0)) or None,
                root_size=int(devices["root"].get("size", 0)) or None,
                proxies=proxies,
            ),
        )

    def _take_effect(self, request: _Request) -> None:
        if request.step in self.claims:
            self.claims.remove(request.step)
            return
        if request.step is Step.CREATE:
            self._make(request.name)
            return
        if request.entry and request.step in swap_effects.STEPS:
            swap_effects.take_effect(self.holds, request.step, request.entry, half=self.half_made)
            return
        if request.entry and request.step not in _AFTER:
            now = effect_on(self.holds.pop(request.name), request.step, request.entry)
            for snapshot in now.snapshots:
                self.created_at.setdefault((request.name, snapshot), self._clock.now())
            if request.step is Step.RESTORE and not now.stopped:
                now = replace(now, init=InitProcess(next(self._pids), 2))
            self.holds[now.name] = now
            return
        after = _AFTER[request.step]
        ephemeral = self.limits.get(request.name, {}).get("ephemeral", False)
        if after is None or (after == "Stopped" and ephemeral):
            del self.holds[request.name]
            return
        now = replace(self.holds[request.name], status=after)
        if request.step in _NEW_RUN:
            now = replace(
                now,
                init=InitProcess(next(self._pids), 2),
                last_used_at=self._clock.now(),
                uuid=now.uuid or self.new_uuid,
            )
        if after == "Stopped":
            now = replace(now, init=None)
        self.holds[request.name] = now


class FakeReports:
    """Reads instances for operations; `expected` are those whose events wait for that."""

    def __init__(self, lxd: FakeLxd) -> None:
        self.expected: set[tuple[str, str]] = set()
        self._lxd = lxd

    def expect_reading(self, project: str, name: str, step: Step) -> None:
        self.expected.add((project, name))

    def read(self, project: str, name: str, *, is_done: bool) -> InstanceAnswer:
        self.expected.discard((project, name))
        return self._lxd.read(project, name)

    def cancel_reading(self, project: str, name: str) -> None:
        self.expected.discard((project, name))


def _briefly(look: Observation) -> Observation:
    return replace(look, init=None, snapshots=(), root_used=None)


@dataclass
class _Request:
    step: Step
    name: str
    entry: JournalEntry | None = None
    ends_at: float = 0.0
    over: bool = False
    error: FleetError | None = None


_AFTER: dict[Step, str | None] = {
    Step.START: "Running",
    Step.STOP: "Stopped",
    Step.FORCE_STOP: "Stopped",
    Step.RESTART: "Running",
    Step.FORCE_RESTART: "Running",
    Step.FREEZE: "Frozen",
    Step.UNFREEZE: "Running",
    Step.DELETE: None,
}
_NEW_RUN = (Step.START, Step.RESTART, Step.FORCE_RESTART)
