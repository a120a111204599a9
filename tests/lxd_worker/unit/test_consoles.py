from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.lxd_worker.consoles import ConsoleSessions
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.contracts.errors import (
    BrokerUnavailable,
    Cancelled,
    ConsoleInUse,
    FleetError,
    InstanceNotFound,
    InstanceNotRunning,
    InstanceReplaced,
    InvalidInput,
    LxdUnavailable,
    StreamLost,
    TooManyConsoles,
)
from shared.contracts.streams import Resize
from shared.lxd.scope import LxdScope
from tests.support.clock import FakeClock
from tests.support.lxd_worker.lxd import FakeLxd
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.terminals import (
    PATIENCE_S,
    FakeStream,
    FakeTerminal,
    Seats,
    in_a_thread,
    wait_until_left,
)

SIZE = Resize(132, 43)


def order(number: int = 1, **fields: object) -> OpenConsole:
    wanted: dict[str, object] = {
        "stream": f"{number:032}",
        "project": "default",
        "name": "web",
        "uuid": "u-web",
        "type": ConsoleType.EXEC,
    }
    return OpenConsole(**{**wanted, **fields})  # type: ignore[arg-type]


@pytest.fixture
def seats() -> Seats:
    return Seats()


@pytest.fixture
def consoles(seats: Seats) -> ConsoleSessions:
    clock = FakeClock()
    lxd = FakeLxd(
        clock,
        web=observation(),
        db=observation("Stopped", uuid="u-db"),
        ice=observation("Frozen", uuid="u-ice"),
    )
    return ConsoleSessions(
        host="h1",
        lxd=lxd,
        terminals=seats,
        open_stream=seats.open_stream,
        clock=clock,
        spawn=in_a_thread,
        most=2,
        scope=LxdScope(("default",)),
    )


def test_what_the_process_writes_is_sent_and_its_end_told(
    consoles: ConsoleSessions, seats: Seats
) -> None:
    seats.terminal = FakeTerminal([b"one", b"two"], ends_with=7)

    consoles.open(order())
    wait_until_left(consoles)

    assert seats.stream.sent == [b"one", b"two"]
    assert seats.stream.ended_with == 7
    assert seats.terminal.closed


def test_what_is_typed_reaches_the_process_with_the_size(
    consoles: ConsoleSessions, seats: Seats
) -> None:
    seats.terminal = FakeTerminal()
    seats.stream = FakeStream([b"ls", SIZE, b"\n"])

    consoles.open(order())
    wait_until_left(consoles)

    assert seats.terminal.got == [b"ls", SIZE, b"\n"]


def test_a_viewer_that_goes_hangs_up(consoles: ConsoleSessions, seats: Seats) -> None:
    seats.terminal = FakeTerminal()
    consoles.open(order())

    seats.stream.lose(Cancelled())
    wait_until_left(consoles)

    assert seats.terminal.hung_up
    assert seats.terminal.closed
    assert seats.stream.ended_with is None


def test_an_lxd_that_goes_is_told_to_the_viewer(consoles: ConsoleSessions, seats: Seats) -> None:
    seats.terminal = FakeTerminal([b"last words"], fails_with=LxdUnavailable("h1"))

    consoles.open(order())
    wait_until_left(consoles)

    assert isinstance(seats.stream.aborted_with, LxdUnavailable)
    assert seats.terminal.closed


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": "nix"}, InstanceNotFound),
        ({"project": "another"}, InstanceNotFound),
        ({"name": "../web"}, InvalidInput),
        ({"uuid": "u-other"}, InstanceReplaced),
        ({"uuid": ""}, InstanceReplaced),
        ({"name": "db", "uuid": "u-db"}, InstanceNotRunning),
        ({"name": "ice", "uuid": "u-ice"}, InstanceNotRunning),
    ],
)
def test_only_a_running_instance_that_is_meant_has_a_console(
    consoles: ConsoleSessions, seats: Seats, fields: dict[str, object], error: type[FleetError]
) -> None:
    with pytest.raises(error):
        consoles.open(order(**fields))

    assert seats.opened == []
    assert consoles.reserved == {}


def test_no_more_consoles_are_open_than_allowed(consoles: ConsoleSessions, seats: Seats) -> None:
    seats.terminal = FakeTerminal()
    for number in (1, 2):
        consoles.open(order(number))

    with pytest.raises(TooManyConsoles):
        consoles.open(order(3))

    seats.stream.lose(Cancelled())
    wait_until_left(consoles)


def test_a_console_that_is_left_makes_room(consoles: ConsoleSessions, seats: Seats) -> None:
    seats.terminal = FakeTerminal(ends_with=0)
    for number in range(5):
        seats.stream = FakeStream()
        consoles.open(order(number))
        wait_until_left(consoles)

    assert len(seats.opened) == 5
    assert consoles.reserved == {}


def test_a_text_console_has_room_for_one(consoles: ConsoleSessions, seats: Seats) -> None:
    seats.terminal = FakeTerminal()
    consoles.open(order(1, type=ConsoleType.CONSOLE))

    with pytest.raises(ConsoleInUse):
        consoles.open(order(2, type=ConsoleType.CONSOLE))
    consoles.open(order(2))

    seats.stream.lose(Cancelled())
    wait_until_left(consoles)


def test_a_terminal_is_let_go_when_the_broker_has_no_stream_for_it(
    consoles: ConsoleSessions, seats: Seats
) -> None:
    seats.terminal = FakeTerminal()
    seats.refusal = BrokerUnavailable()

    with pytest.raises(BrokerUnavailable):
        consoles.open(order())

    assert seats.terminal.hung_up
    assert seats.terminal.closed
    assert consoles.reserved == {}


def test_the_log_says_who_sat_where_for_how_much(
    consoles: ConsoleSessions, seats: Seats, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    # Words that no checkout has in its path, which is in the records too.
    seats.terminal = FakeTerminal([b"open sesame"])
    seats.stream = FakeStream([b"correct horse"])

    consoles.open(order(principal="admin", address="192.0.2.7"))
    wait_until_left(consoles)

    opened, closed = (vars(record) for record in caplog.records)
    assert opened["message"] == "console opened"
    for line in (opened, closed):
        assert (line["principal"], line["address"]) == ("admin", "192.0.2.7")
        assert (line["instance"], line["type"]) == ("web", "exec")
    assert (closed["typed"], closed["shown"]) == (len("correct horse"), len("open sesame"))
    assert "open sesame" not in str((opened, closed))
    assert "correct horse" not in str((opened, closed))


def test_a_stream_that_is_lost_is_why_the_console_closed(
    consoles: ConsoleSessions, seats: Seats, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    seats.terminal = FakeTerminal([b"x"])
    seats.stream = FakeStream(takes=0)

    consoles.open(order())
    seats.stream.lose(StreamLost("nobody listens any more"))
    wait_until_left(consoles)

    assert vars(caplog.records[-1])["reason"] == "stream_lost"


def test_a_worker_that_stops_lets_everybody_leave(consoles: ConsoleSessions, seats: Seats) -> None:
    seats.terminal = FakeTerminal()
    consoles.open(order())

    consoles.close_all(PATIENCE_S)
    wait_until_left(consoles)

    assert seats.terminal.closed


def test_a_worker_that_stops_does_not_wait_for_long(
    consoles: ConsoleSessions, seats: Seats
) -> None:
    seats.terminal = FakeTerminal()
    seats.stream = FakeStream(ends=False)
    consoles.open(order())
    began = consoles.clock.monotonic()

    consoles.close_all(3)

    assert 3 <= consoles.clock.monotonic() - began < 4
    assert seats.terminal.hung_up
    seats.stream.lose(Cancelled())
    wait_until_left(consoles)


def test_who_does_not_look_at_a_text_console_holds_nobody_up_and_is_told_what_was_missed(
    consoles: ConsoleSessions, seats: Seats
) -> None:
    def shows() -> Iterator[bytes]:
        yield from (b"one", b"two", b"three")
        seats.stream.takes = 2
        yield b"four"

    seats.terminal = FakeTerminal(shows(), ends_with=0)
    seats.stream = FakeStream(takes=1)

    consoles.open(order(type=ConsoleType.CONSOLE))
    wait_until_left(consoles)

    assert seats.stream.sent == [b"one", b"\r\n[8 bytes were not shown]\r\nfour"]
    assert seats.stream.waits == [1, 0]


def test_who_comes_while_somebody_is_leaving_waits_for_the_place(
    consoles: ConsoleSessions, seats: Seats
) -> None:
    first = seats.terminal = FakeTerminal()
    consoles.open(order(1, type=ConsoleType.CONSOLE))
    consoles.connected[order(1).stream].left = True
    # Whoever waits sleeps; meanwhile the place becomes free.
    consoles.clock.on_sleep = lambda: leave(consoles, first)  # type: ignore[attr-defined]
    seats.terminal = FakeTerminal(ends_with=0)
    seats.stream = FakeStream()

    consoles.open(order(2, type=ConsoleType.CONSOLE))
    wait_until_left(consoles)

    assert [each.stream for each in seats.opened] == [order(1).stream, order(2).stream]


def leave(consoles: ConsoleSessions, terminal: FakeTerminal) -> None:
    terminal.hang_up()
    wait_until_left(consoles)
