"""What tests can make the double do that no healthy LXD does."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.lxd_double import Agent, DoubledInstance, LxdDouble
from tests.support.daemons import ROOT
from tests.support.lxd_client import Client


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        yield double


@pytest.fixture
async def client(double: LxdDouble) -> AsyncIterator[Client]:
    async with Client.connected(double.socket) as client:
        yield client


async def test_a_slow_operation_is_running_until_its_time_has_come(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web"))
    double.faults.duration_s["start"] = 0.3

    operation = await client.begin("PUT", "/1.0/instances/web/state", {"action": "start"})

    assert (await client.get(f"{operation}/wait?timeout=0"))["status"] == "Running"
    assert await client.status("web") == "Stopped"
    assert (await client.get(f"{operation}/wait"))["status"] == "Success"
    assert await client.status("web") == "Running"


async def test_a_failure_comes_inside_the_operation_and_changes_nothing(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web"))
    double.faults.failures["start"] = "disk quota exceeded"

    operation = await client.change("web", "start")

    assert (operation["status"], operation["err"]) == ("Failure", "disk quota exceeded")
    assert await client.status("web") == "Stopped"


async def test_a_deaf_guest_runs_on_after_the_time_out_but_not_after_force(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web", status="Running"))
    double.faults.deaf.add("web")

    clean = await client.change("web", "stop", timeout_s=1)
    after_clean = await client.status("web")
    forced = await client.change("web", "stop", force=True)

    assert (clean["status"], after_clean) == ("Failure", "Running")
    assert forced["status"] == "Success"
    assert await client.status("web") == "Stopped"


async def test_an_operation_that_may_be_cancelled_is_cancelled_without_effect(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web"))
    double.faults.duration_s["start"] = 30
    double.faults.cancellable.add("start")
    operation = await client.begin("PUT", "/1.0/instances/web/state", {"action": "start"})

    cancelled = await client.ask("DELETE", operation)

    ended = await client.get(f"{operation}/wait")
    assert (cancelled.status, cancelled.metadata) == (200, {})
    assert (ended["status"], ended["status_code"]) == ("Cancelled", 401)
    assert await client.status("web") == "Stopped"


async def test_an_operation_that_has_ended_cannot_be_cancelled(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web"))
    double.faults.cancellable.add("start")
    operation = await client.begin("PUT", "/1.0/instances/web/state", {"action": "start"})
    await client.get(f"{operation}/wait")

    answer = await client.ask("DELETE", operation)

    assert answer.refusal == (400, "Only running operations can be cancelled")


async def test_the_event_running_can_come_after_the_last_one(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web"))
    double.faults.late_running = True

    async with client.events("web") as events:
        await client.change("web", "start")
        told = await events.until("Starting instance: Running")

    assert told.index("Starting instance: Success") < told.index("Starting instance: Running")


async def test_a_daemon_that_is_gone_breaks_connections_and_comes_back_with_its_instances(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web", status="Running"))
    double.faults.duration_s["stop"] = 30
    operation = await client.begin("PUT", "/1.0/instances/web/state", {"action": "stop"})
    waiting = asyncio.create_task(client.ask("GET", f"{operation}/wait"))
    await asyncio.sleep(0.1)

    await asyncio.to_thread(double.go_away)

    with pytest.raises(aiohttp.ClientError):
        await waiting
    with pytest.raises(aiohttp.ClientError):
        await client.status("web")
    await asyncio.to_thread(double.come_back)
    assert await client.status("web") == "Running"
    assert (await client.ask("GET", operation)).status == 404


async def test_a_power_off_from_inside_is_told_without_a_requestor(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("web", status="Running"))

    async with client.events("web") as events:
        await asyncio.to_thread(double.power_off, "web")
        told = await events.until("instance-shutdown")

    assert told == ["instance-shutdown"]
    assert await client.status("web") == "Stopped"


async def test_an_answer_can_be_no_json(double: LxdDouble, client: Client) -> None:
    double.faults.no_json = True

    with pytest.raises(aiohttp.ContentTypeError):
        await client.ask("GET", "/1.0")


async def test_an_answer_can_be_late(double: LxdDouble, client: Client) -> None:
    double.faults.answer_delay_s = 0.2
    before = time.monotonic()

    await client.get("/1.0")

    assert time.monotonic() - before >= 0.2


async def test_a_virtual_machine_without_its_agent_measures_nothing(
    double: LxdDouble, client: Client
) -> None:
    double.add(DoubledInstance("vm", type="virtual-machine", status="Running", agent=Agent.SILENT))

    state = await client.get("/1.0/instances/vm/state")

    assert state["processes"] == -1
    assert (state["cpu"]["usage"], state["memory"]["usage"]) == (0, 0)
    assert state["pid"] > 0


async def test_a_busy_instance_uses_cpu_as_time_goes_on(double: LxdDouble, client: Client) -> None:
    double.add(DoubledInstance("web", status="Running", busy_cpus=1.5))
    before = (await client.get("/1.0/instances/web/state"))["cpu"]["usage"]

    await asyncio.sleep(0.2)

    used = (await client.get("/1.0/instances/web/state"))["cpu"]["usage"] - before
    assert 0.2 * 1.5e9 <= used < 1.5e9


async def test_thousands_of_instances_come_in_one_answer(double: LxdDouble, client: Client) -> None:
    double.add_all(DoubledInstance(f"c{number}", status="Running") for number in range(3000))

    listed = await client.get("/1.0/instances?recursion=2")

    assert len({instance["state"]["pid"] for instance in listed}) == 3000


async def test_the_double_can_be_a_process_of_its_own(tmp_path: Path) -> None:
    socket = tmp_path / "own.socket"
    command = [sys.executable, "-m", "tests.lxd_double", str(socket)]
    process = await asyncio.create_subprocess_exec(
        *command, "--containers", "2", "--virtual-machines", "1", cwd=ROOT
    )
    async with asyncio.timeout(10):
        while not socket.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)

    async with Client.connected(socket) as client:
        listed = await client.get("/1.0/instances?recursion=1")
    process.terminate()

    assert [(each["name"], each["type"]) for each in listed] == [
        ("c0", "container"),
        ("c1", "container"),
        ("v0", "virtual-machine"),
    ]
    assert await process.wait() == 0
