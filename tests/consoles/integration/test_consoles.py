"""Consoles of a real instance, through a real broker and a real worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import amqp
import pytest

from services.gateway.consoles import ByteStream, Console
from services.gateway.wiring import Parts
from shared.contracts.consoles import ConsoleType
from shared.contracts.errors import (
    ConsoleInUse,
    InstanceNotRunning,
    InstanceReplaced,
    StreamLost,
    TooManyConsoles,
)
from shared.contracts.streams import WINDOW, Resize
from tests.support.broker import Vhost
from tests.support.caller import connect as amqp_connect
from tests.support.lxd import Instances
from tests.support.marked_process import new_mark, runs
from tests.support.polling import eventually
from tests.support.worker_process import WorkerProcess

from .conftest import MOST_CONSOLES, ConsoleOf

TEN_MB = 10_000_000
# Prints when it runs; a shell's echo of the line is not the same text.
READY = b"echo rea''dy\n"


class Screen:
    """What came over a stream so far."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.text = b""
        self._chunks = stream.chunks()

    async def until(self, text: bytes) -> bytes:
        """Return what was shown before the text, once that has come."""
        async with asyncio.timeout(20):
            while text not in self.text:
                self.text += await anext(self._chunks)
        before, _, self.text = self.text.partition(text)
        return before

    async def count_to_the_end(self) -> int:
        """Return how many bytes come until there are no more."""
        async with asyncio.timeout(60):
            return len(self.text) + sum([len(chunk) async for chunk in self._chunks])


@pytest.fixture(autouse=True)
async def nobody_else(worker: WorkerProcess) -> None:
    """What the test before has left is closed a moment later; until then it takes up a place."""

    def open_ones() -> int:
        return len(worker.logged("console opened")) - len(worker.logged("console closed"))

    await eventually(lambda: open_ones() == 0, within_s=20)


@asynccontextmanager
async def shell_of(gateway: Parts, console_of: ConsoleOf, name: str) -> AsyncIterator[Screen]:
    """A shell that takes commands and echoes nothing."""
    async with gateway.consoles.open(console_of(name)) as stream:
        screen = Screen(stream)
        await stream.send(b"stty -echo; PS1=; " + READY)
        await screen.until(b"ready\r\n")
        yield screen


def received(screen: Screen) -> int:
    return screen.stream._incoming.received  # type: ignore[attr-defined,no-any-return]


async def settled(count: Callable[[], int]) -> int:
    """Return a count when it has stopped to grow."""
    before = -1
    while (now := count()) != before:
        before = now
        await asyncio.sleep(0.5)
    return now


async def occupied(screen: Screen) -> str:
    """Let the shell become a process that runs for long; return what only its command has."""
    mark = new_mark()
    await screen.stream.send(b"exec sleep %s\n" % mark.encode())
    await eventually(lambda: runs(mark))
    return mark


async def test_what_is_typed_is_carried_out_and_shown(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        await screen.stream.send(b"echo $((6 * 7)) in $(hostname)\n")

        await screen.until(f"42 in {shell}\r\n".encode())


async def test_the_terminal_has_the_size_that_the_viewer_tells(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        await screen.stream.resize(Resize(132, 43))
        await screen.stream.send(b"stty size\n")

        await screen.until(b"43 132\r\n")


async def test_the_end_of_the_process_is_told_with_its_exit_status(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        await screen.stream.send(b"exit 7\n")
        await screen.count_to_the_end()

        assert screen.stream.exit_status == 7


async def test_ten_megabytes_arrive_whole_and_in_order(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        await screen.stream.send(b"stty -opost; seq -w 1250000 | cat; echo; echo do''ne\n")

        shown = await screen.until(b"\ndone\n")

    assert len(shown) == TEN_MB
    assert shown == b"".join(b"%07d\n" % number for number in range(1, 1_250_001))


async def test_a_viewer_that_reads_nothing_holds_up_its_process_and_no_memory(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        await screen.stream.send(b"stty -opost; head -c 10000000 /dev/zero; echo do''ne\n")
        held = await settled(lambda: received(screen))
        shown = await screen.until(b"done")

    assert WINDOW // 2 < held <= WINDOW
    assert len(shown) == TEN_MB


async def test_a_flood_holds_up_neither_calls_nor_another_console(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with (
        shell_of(gateway, console_of, shell) as flood,
        shell_of(gateway, console_of, shell) as other,
    ):
        await flood.stream.send(b"stty -opost; cat /dev/zero\n")
        flooding = asyncio.create_task(flood.count_to_the_end())
        await eventually(lambda: received(flood) > WINDOW)
        before = received(flood)
        for number in range(20):
            await gateway.consoles.worker.operations_since("h1", 0)
            await other.stream.send(b"echo answer%d\n" % number)
            await other.until(b"answer%d\r\n" % number)
        went_on = received(flood) > before
        flooding.cancel()

    assert went_on


async def test_two_viewers_sit_at_one_instance_each_with_a_shell(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with (
        shell_of(gateway, console_of, shell) as one,
        shell_of(gateway, console_of, shell) as other,
    ):
        await one.stream.send(b"name=one\n")
        await other.stream.send(b"name=other\n")
        for screen in (one, other):
            await screen.stream.send(b"echo I am $name.\n")

        await one.until(b"I am one.")
        await other.until(b"I am other.")


async def test_a_viewer_that_leaves_ends_its_process(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        mark = await occupied(screen)

    await eventually(lambda: not runs(mark))


async def test_a_viewer_that_leaves_while_nothing_is_read_ends_its_process(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        await screen.stream.send(b"stty raw; " + READY)
        await screen.until(b"ready")
        mark = await occupied(screen)
        typing = asyncio.create_task(screen.stream.send(bytes(8 * WINDOW)))
        await asyncio.wait([typing], timeout=1)

        assert not typing.done()

    typing.cancel()
    await eventually(lambda: not runs(mark))


async def test_the_host_logs_who_sat_where_and_nothing_of_what_was_said(
    gateway: Parts, console_of: ConsoleOf, shell: str, worker: WorkerProcess
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        await screen.stream.send(b"echo my-secret\n")
        await screen.until(b"my-secret")
        stream = screen.stream.id
    await eventually(lambda: stream in str(worker.logged("console closed")))

    (closed,) = [line for line in worker.logged("console closed") if line["stream"] == stream]
    assert (closed["principal"], closed["address"]) == ("admin", "192.0.2.7")
    assert (closed["instance"], closed["type"]) == (shell, "exec")
    assert closed["typed"] > len("echo my-secret")
    assert closed["shown"] > len("my-secret")
    assert "my-secret" not in worker.log.read_text()


async def test_a_host_has_no_more_consoles_open_than_it_allows(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MOST_CONSOLES):
            await stack.enter_async_context(shell_of(gateway, console_of, shell))

        with pytest.raises(TooManyConsoles):
            await stack.enter_async_context(shell_of(gateway, console_of, shell))

    await eventually(lambda: opens(gateway, console_of, shell))


async def opens(gateway: Parts, console_of: ConsoleOf, name: str) -> bool:
    try:
        async with shell_of(gateway, console_of, name):
            return True
    except TooManyConsoles:
        return False


async def test_the_text_console_has_room_for_one_and_is_free_after_that(
    gateway: Parts, console_of: ConsoleOf, shell: str
) -> None:
    console = console_of(shell, ConsoleType.CONSOLE)
    async with shell_of(gateway, console_of, shell) as ticking:
        await ticking.stream.send(b"while sleep 0.1; do echo tick >/dev/console; done\n")
        for _ in range(2):
            async with gateway.consoles.open(console) as stream:
                await Screen(stream).until(b"tick")
                with pytest.raises(ConsoleInUse):
                    await gateway.consoles.open(console).__aenter__()
            await eventually(lambda: is_free(gateway, console))


async def is_free(gateway: Parts, console: Console) -> bool:
    try:
        async with gateway.consoles.open(console):
            return True
    except ConsoleInUse:
        return False


async def test_what_is_not_there_or_does_not_run_has_no_console(
    gateway: Parts, console_of: ConsoleOf, shell: str, mine: Instances
) -> None:
    stopped = mine.create("stopped")
    for console, error in (
        (console_of(stopped), InstanceNotRunning),
        (console_of(shell, uuid="another"), InstanceReplaced),
    ):
        with pytest.raises(error):
            await gateway.consoles.open(console).__aenter__()


async def test_an_outage_of_the_broker_ends_the_console_and_its_process(
    gateway: Parts, console_of: ConsoleOf, shell: str, shared_vhost: Vhost
) -> None:
    async with shell_of(gateway, console_of, shell) as screen:
        mark = await occupied(screen)
        # The broker's own list of its connections is seconds old.
        await eventually(lambda: closed(shared_vhost, screen), within_s=20)

        with pytest.raises(StreamLost):
            await screen.count_to_the_end()

    await eventually(lambda: not runs(mark), within_s=20)
    await eventually(lambda: gateway.bus.connected, within_s=20)


def closed(vhost: Vhost, screen: Screen) -> bool:
    vhost.close_connections()
    return screen.stream._failure is not None  # type: ignore[attr-defined]


def gets_through(channel: amqp.Channel, message: amqp.Message, exchange: str, key: str) -> bool:
    """Publish; return whether the broker took it. RabbitMQ checks keys in headers since 4.0."""
    try:
        channel.basic_publish(message, exchange, key)
    except amqp.AccessRefused:
        return False
    return True


@pytest.mark.attack
async def test_bytes_that_another_host_smuggles_in_reach_neither_end(
    gateway: Parts,
    console_of: ConsoleOf,
    shell: str,
    shared_vhost: Vhost,
    worker: WorkerProcess,
) -> None:
    attacker = amqp_connect(shared_vhost.host_uri("h2"))
    async with shell_of(gateway, console_of, shell) as screen:
        stream = screen.stream.id
        for way in ("in", "out"):
            smuggled = amqp.Message(
                b"attack\n", type="data", application_headers={"CC": [f"h1.{way}.{stream}"]}
            )
            own = shared_vhost.host_exchange("h2")
            gets_through(attacker.channel(), smuggled, own, f"h2.out.{stream}")
        await screen.stream.send(b"echo unharmed\n")

        shown = await screen.until(b"unharmed")

    attacker.close()
    assert b"attack" not in shown
    assert not worker.logged("frame of doubtful origin dropped")  # it never gets there
