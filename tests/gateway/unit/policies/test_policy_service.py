"""Policies are the snapshots service's; what hosts do of them is theirs."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import Target
from services.gateway.policies.matching import matching_hosts
from services.gateway.policies.service import MOST_SIMULATED_HOSTS, PolicyService
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.errors import (
    IdempotencyKeyReused,
    PolicyChangedSince,
    PolicyExists,
    PolicyNotFound,
    SnapshotsUnavailable,
)
from shared.contracts.policies import RunRequest, Selection, Simulation, SimulationRequest
from shared.contracts.policy_api import SnapshotsClient
from shared.contracts.worker_api import WorkerClient
from tests.support.builders import a_heartbeat, a_policy, an_instance, an_inventory
from tests.support.central import FakeCentre, FakeRunKeys
from tests.support.clock import FakeClock
from tests.support.workers import FakeWorkers


@dataclass
class Bench:
    """A service between fakes; `h1` has a web and a db, `h2` another db, `h3` nothing."""

    time: FakeClock = field(default_factory=FakeClock)
    centre: FakeCentre = field(default_factory=FakeCentre)
    workers: FakeWorkers = field(default_factory=FakeWorkers)

    def __post_init__(self) -> None:
        self.fleet = FleetView(self.time.clock, ready_after_s=0)
        web = an_instance("web", labels={"env": "prod"})
        for host, instances in {
            "h1": (web, an_instance("db")),
            "h2": (an_instance("db", uuid="u2", project="shop"),),
            "h3": (),
        }.items():
            self.fleet.apply(host, a_heartbeat())
            self.fleet.apply(host, an_inventory(*instances))
        client, worker = SnapshotsClient(self.centre), WorkerClient(self.workers)
        self.service = PolicyService(self.fleet, client, worker, FakeRunKeys())

    async def matching(self, **selection: object) -> list[str]:
        wanted = Selection(**selection)  # type: ignore[arg-type]
        return [host async for host in matching_hosts(self.fleet, wanted)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("selection", "hosts"),
    [
        ({}, []),
        ({"names": ("*",)}, ["h1", "h2"]),
        ({"names": ("w?b", "x")}, ["h1"]),
        ({"projects": ("shop",)}, ["h2"]),
        ({"labels": {"env": "prod"}}, ["h1"]),
        ({"labels": {"env": "prod"}, "hosts": ("h2",)}, []),
        ({"hosts": ("h2", "h3", "nix")}, ["h2"]),
    ],
)
async def test_hosts_are_those_with_a_selected_instance(
    bench: Bench, selection: dict[str, object], hosts: list[str]
) -> None:
    assert await bench.matching(**selection) == hosts
    assert await bench.service.matches_any(Selection(**selection)) is bool(hosts)  # type: ignore[arg-type]


async def test_the_same_key_again_returns_the_policy_of_the_first_request(bench: Bench) -> None:
    first = await bench.service.create(a_policy(), "k")

    again = await bench.service.create(a_policy(), "k")
    bench.centre.policies["p-1"] = replace(first, revision=2, description="since")
    later = await bench.service.create(a_policy(), "k")

    assert again == first
    assert later.description == "since"


async def test_another_policy_under_the_same_key_is_refused(bench: Bench) -> None:
    await bench.service.create(a_policy(), "k")

    with pytest.raises(IdempotencyKeyReused) as refused:
        await bench.service.create(a_policy(description="other"), "k")

    assert refused.value.key == "k"


async def test_a_name_that_is_taken_is_refused_with_and_without_a_key(bench: Bench) -> None:
    await bench.service.create(a_policy())

    for key in ("", "k"):
        with pytest.raises(PolicyExists):
            await bench.service.create(a_policy("p-2"), key)


async def test_a_policy_is_replaced_only_if_it_is_as_it_was_read(bench: Bench) -> None:
    bench.centre.policies["p-1"] = a_policy(revision=4)

    with pytest.raises(PolicyChangedSince):
        await bench.service.replace(a_policy(), {"3"})
    changed = await bench.service.replace(a_policy(description="new"), {"3", "4"})
    again = await bench.service.replace(a_policy(), None)

    assert (changed.revision, changed.description) == (5, "new")
    assert again.revision == 6
    with pytest.raises(PolicyNotFound):
        await bench.service.replace(a_policy("nix"), None)


async def test_a_policy_is_deleted_only_if_it_is_as_it_was_read(bench: Bench) -> None:
    bench.centre.policies["p-1"] = a_policy(revision=4)

    with pytest.raises(PolicyChangedSince):
        await bench.service.delete("p-1", {"3"})
    await bench.service.delete("p-1", {"4"})

    assert bench.centre.policies == {}
    with pytest.raises(PolicyNotFound):
        await bench.service.delete("p-1", None)


async def test_only_hosts_with_selected_instances_are_told_to_run(bench: Bench) -> None:
    policy = a_policy(selection=Selection(names=("db",)))

    answers = await bench.service.run(policy, "2026-11-18T11:00:00Z", None, 5)

    assert [each.host for each in answers] == ["h1", "h2"]
    assert [host for host, _ in bench.workers.called] == ["h1", "h2"]


async def test_one_instance_is_run_on_its_host_alone(bench: Bench) -> None:
    told: list[RunRequest] = []

    def run(host: str, wired: object) -> object:
        told.append(from_wire(RunRequest, wired))
        return {"instances": 1}

    bench.workers.answers["run_policy"] = run
    target = Target("h2", "shop", "db", "u2")

    [answer] = await bench.service.run(a_policy(), "2026-11-18T11:00:00Z", target, 5)

    assert answer.host == "h2"
    assert told == [
        RunRequest(policy_id="p-1", at="2026-11-18T11:00:00Z", project="shop", name="db")
    ]


async def test_hosts_share_the_instances_of_a_simulation(bench: Bench) -> None:
    limits: list[int] = []

    def simulate(host: str, wired: object) -> object:
        limits.append(from_wire(SimulationRequest, wired).limit)
        return to_wire(Simulation(selected=1, instances=[]))

    bench.workers.answers["simulate_policy"] = simulate

    found = await bench.service.simulate(a_policy(selection=Selection(names=("*",))), 7, None, 5, 5)

    assert limits == [3, 3]
    assert found.left_out == 0


async def test_a_simulation_asks_some_hosts_and_says_how_many_more_there_are(bench: Bench) -> None:
    for number in range(2 * MOST_SIMULATED_HOSTS):
        bench.fleet.apply(f"x{number:03}", a_heartbeat())
        bench.fleet.apply(f"x{number:03}", an_inventory(an_instance("x", uuid=f"x{number}")))

    found = await bench.service.simulate(a_policy(selection=Selection(names=("x",))), 7, None, 1, 5)

    assert len(found.answers) == MOST_SIMULATED_HOSTS
    assert found.left_out == MOST_SIMULATED_HOSTS


async def test_runs_go_on_without_the_snapshots_service(bench: Bench) -> None:
    bench.centre.refusal = SnapshotsUnavailable()

    [one, _] = await bench.service.run(
        a_policy(selection=Selection(names=("*",))), "2026-11-18T11:00:00Z", None, 5
    )

    assert one.answer is not None
