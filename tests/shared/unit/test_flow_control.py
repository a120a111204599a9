from __future__ import annotations

import pytest

from shared.contracts.errors import Cancelled, InvalidInput, StreamLost, UnreadableMessage
from shared.contracts.streams import (
    MOST_DATA,
    WINDOW,
    Credit,
    End,
    Frame,
    Resize,
    from_message,
    to_message,
    validate_stream,
)
from shared.platform.bus.flow_control import ReceiveWindow, SendWindow


@pytest.mark.parametrize(
    "frame", [b"\x00raw\xff", b"", Credit(7), Resize(132, 43), End(sent=3, exit_status=1)]
)
def test_a_frame_comes_out_of_its_message_as_it_went_in(frame: Frame) -> None:
    assert from_message(*to_message(frame)) == frame


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("None", b""),
        ("unheard-of", b"{}"),
        ("credit", b"{}"),
        ("credit", b'{"limit": -1}'),
        ("resize", b'{"columns": 0, "rows": 1}'),
        ("end", b"\xff"),
    ],
)
def test_what_is_no_frame_is_an_unreadable_message(kind: str, body: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        from_message(kind, body)


@pytest.mark.parametrize("stream", ["", "0" * 31, "0" * 33, "*" * 32, f"{'0' * 31}.", "A" * 32])
def test_an_id_that_could_reach_other_keys_is_refused(stream: str) -> None:
    with pytest.raises(InvalidInput):
        validate_stream(stream)


def test_nothing_may_be_sent_before_there_is_credit() -> None:
    assert SendWindow().room == 0


@pytest.mark.parametrize(
    ("limits", "sent", "room"),
    [
        ([100], 0, 100),
        ([100], 60, 40),
        ([100], 100, 0),
        ([100, 50], 60, 40),
        ([50, 100], 60, 40),
        ([10 * MOST_DATA], 5, MOST_DATA),
    ],
)
def test_the_highest_credit_says_how_much_may_be_sent(
    limits: list[int], sent: int, room: int
) -> None:
    outgoing = SendWindow()
    outgoing.sent = sent

    for limit in limits:
        outgoing.grant(Credit(limit))

    assert outgoing.room == room


def test_credit_grows_with_what_was_dealt_with_not_with_what_came() -> None:
    incoming = ReceiveWindow()

    incoming.receive(1000)
    before = incoming.credit
    incoming.consume(1000)

    assert before == Credit(WINDOW)
    assert incoming.credit == Credit(WINDOW + 1000)


def test_the_other_end_is_told_of_half_a_window_at_a_time() -> None:
    incoming = ReceiveWindow()
    incoming.receive(WINDOW)

    told = [incoming.consume(WINDOW // 4) for _ in range(2)]
    _ = incoming.credit
    told_after_that = incoming.consume(WINDOW // 4)

    assert told == [False, True]
    assert told_after_that is False


def test_more_bytes_than_there_was_room_for_end_the_stream() -> None:
    incoming = ReceiveWindow()
    incoming.receive(WINDOW)

    with pytest.raises(StreamLost):
        incoming.receive(1)


def test_an_end_after_all_bytes_is_an_end() -> None:
    incoming = ReceiveWindow()
    incoming.receive(3)

    incoming.finish(End(sent=3))

    assert incoming.received == 3


@pytest.mark.parametrize("sent", [2, 4])
def test_an_end_with_other_bytes_than_came_is_a_loss(sent: int) -> None:
    incoming = ReceiveWindow()
    incoming.receive(3)

    with pytest.raises(StreamLost):
        incoming.finish(End(sent=sent))


def test_a_stream_that_is_called_off_raises_the_reason_however_much_came() -> None:
    with pytest.raises(Cancelled):
        ReceiveWindow().finish(End(sent=99, code="cancelled"))
