"""Somebody stopped an ephemeral container: "stopped", said both APIs, and it was deleted.

Nothing had told that it was ephemeral.
"""

from __future__ import annotations

import httpx
import pytest

from services.gateway.fleet.view import FleetView
from services.lxd_worker.instances.description import InstanceDescription, to_instance
from services.lxd_worker.transitions.step_verdict import Verdict, judge
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InstanceNotFound
from shared.contracts.operations import Arguments, Kind, Operation, State
from tests.support.builders import (
    a_heartbeat,
    an_instance,
    an_inventory,
    an_operation,
)
from tests.support.clock import FakeClock
from tests.support.gateway_http import FakeGateway
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.observations import observation
from tests.support.views import a_view

GONE = {"state": State.DONE, "gone": True}


@pytest.fixture
def gateway() -> FakeGateway:
    """A gateway with an ephemeral `test1`."""
    gateway = FakeGateway()
    gateway.fleet.known_instances = [a_view(ephemeral=True)]
    return gateway


def stopped(bench: Bench, *, ephemeral: bool = True, force: bool = False) -> Operation:
    """Return how a stop of the worker's `web` has ended."""
    bench.lxd.limits["web"] = {"ephemeral": ephemeral}
    return bench.run(Kind.STOP, "web", Arguments(force=force))


def test_the_worker_tells_that_it_is_ephemeral() -> None:
    web = InstanceDescription(name="web", ephemeral=True)

    instance, _ = to_instance(web, revision=1, host_memory=1)

    assert instance.ephemeral


@pytest.mark.parametrize("force", [False, True])
def test_the_outcome_of_a_stop_says_that_it_is_gone(*, force: bool) -> None:
    operation = stopped(Bench(), force=force)

    assert (operation.state, operation.changed, operation.gone) == (State.DONE, True, True)
    assert operation.after is None


def test_the_outcome_of_a_stop_of_another_one_says_that_it_is_stopped() -> None:
    operation = stopped(Bench(), ephemeral=False)

    assert (operation.state, operation.gone) == (State.DONE, False)
    assert operation.after is not None
    assert operation.after.status == "Stopped"


def test_one_that_is_stopped_already_is_not_gone() -> None:
    bench = Bench()
    bench.lxd.holds["web"] = observation("Stopped")

    operation = stopped(bench)

    assert (operation.state, operation.changed, operation.gone) == (State.DONE, False, False)


def test_a_stop_whose_answer_was_lost_is_settled_by_its_being_gone() -> None:
    bench = Bench()
    bench.lxd.unanswered.add(Step.STOP)

    operation = stopped(bench)

    assert (operation.state, operation.gone) == (State.DONE, True)
    assert judge(Step.STOP, Arguments(), observation(), None) is Verdict.DONE


def test_the_view_holds_it_no_more_once_the_stop_has_ended() -> None:
    fleet = FleetView(FakeClock().clock, ready_after_s=0)
    web = an_instance(ephemeral=True)
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory(web))

    fleet.apply_outcome(an_operation(kind=Kind.STOP, state=State.DONE, gone=True))

    with pytest.raises(InstanceNotFound):
        fleet.instance("web")


def test_what_a_stop_of_a_namesake_says_takes_nothing_away() -> None:
    fleet = FleetView(FakeClock().clock, ready_after_s=0)
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory(an_instance()))

    fleet.apply_outcome(an_operation(kind=Kind.STOP, state=State.DONE, gone=True, uuid="another"))
    fleet.apply_outcome(an_operation("op-2", kind=Kind.STOP, state=State.FAILED, gone=True))

    assert fleet.instance("web").instance.status == "Running"


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("zh", "实例 test1 是临时实例，停止后已被删除"),
        ("en", "Instance test1 is ephemeral: it stopped and was deleted"),
    ],
)
async def test_the_instances_api_says_that_it_is_gone(
    gateway: FakeGateway, language: str, message: str
) -> None:
    async with gateway.client(headers={"Accept-Language": language}) as client:
        before = (await client.get("/api/instances/test1")).json()
        gateway.operations.ends = GONE
        answer = await client.post("/api/instances/test1/stop")
        operation = (await client.get(answer.headers["location"])).json()

    assert before["info"]["ephemeral"] is True
    assert answer.json() == {"success": True, "message": message, "data": None}
    assert operation["gone"] is True


async def test_the_vm_api_says_that_it_is_deleted(gateway: FakeGateway) -> None:
    async with gateway.client() as client:
        before = (await client.get("/api/v1/vms/test1")).json()["data"]
        gateway.operations.ends = GONE
        answer = await client.post("/api/v1/vms/test1/stop")
        body = {"action": "stop", "ids": ["test1"]}
        bulk = (await client.post("/api/v1/vms/actions", json=body)).json()["data"]

    assert before["ephemeral"] is True
    assert answer.json()["data"]["status"] == "deleted"
    assert [result["status"] for result in bulk["results"]] == ["deleted"]


async def test_a_deletion_that_failed_leaves_it_as_it_is(gateway: FakeGateway) -> None:
    gateway.operations.ends = {"state": State.FAILED}
    body = {"action": "delete", "ids": ["test1"]}

    async with gateway.client() as client:
        answer = await client.post("/api/v1/vms/actions", json=body)

    [result] = answer.json()["data"]["results"]
    assert (result["success"], result["status"]) == (False, "running")


async def test_what_a_host_says_to_be_gone_after_another_change_breaks_no_answer(
    gateway: FakeGateway,
) -> None:
    gateway.operations.ends = GONE

    async with gateway.client() as client:
        answer: httpx.Response = await client.post("/api/instances/test1/start")

    assert answer.json()["message"] == "实例 test1 启动成功"
