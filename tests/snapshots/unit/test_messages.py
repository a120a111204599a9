"""What is read of a host's message, and what is not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.snapshots.bus.messages import CallAnswer, Received, ReportedPlan, read, read_heartbeat
from shared.contracts.codec import encode, to_wire
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import MAX_BYTES, PolicyRunChanged, ProtectionReported
from shared.contracts.policies import PolicyRunPage, Protection, ProtectionState
from shared.platform.bus.lenient_delivery import UNDECODABLE_PROPERTY
from tests.support.builders import a_heartbeat
from tests.support.snapshots import a_run

EXCHANGE = f"fleet.hosts.h1.{'0' * 32}"
REPLY_ID = "snapshots0"
RUN = encode(PolicyRunChanged(run=a_run(1)))


def received(
    key: str = "h1.worker.policy-run",
    body: bytes = RUN,
    exchange: str = EXCHANGE,
    **properties: Any,
) -> Received:
    """Return a message of the queue of h1."""
    given = {"content_type": "application/json"} | properties
    return Received("h1", exchange, key, given, body, 1, "s1")


def answer(result: object = None, error: object = None, **properties: Any) -> Received:
    body = json.dumps({"result": result, "error": error}).encode()
    return received(f"h1.reply.{REPLY_ID}", body, **({"correlation_id": "c1"} | properties))


def test_a_run_is_read() -> None:
    assert read(received(), REPLY_ID) == a_run(1)


def test_of_a_report_only_the_plan_is_read() -> None:
    unprotected = Protection(name="web", uuid="u", state=ProtectionState.UNPROTECTED)
    report = ProtectionReported(
        epoch=3,
        at="2026-11-29T03:00:00Z",
        plan_version=7,
        digest="d" * 64,
        clock_trusted=True,
        instances=[unprotected] * 1000,
    )

    plan = read(received("h1.worker.protection", encode(report)), REPLY_ID)

    assert plan == ReportedPlan(epoch=3, plan_version=7, digest="d" * 64, clock_trusted=True)


def test_a_page_of_runs_is_read_from_an_answer() -> None:
    page = PolicyRunPage(runs=[a_run(1), a_run(2)], more=True)

    told = read(answer(to_wire(page)), REPLY_ID)

    assert isinstance(told, CallAnswer)
    assert (told.call_id, told.error) == ("c1", "")
    assert told.page() == page


def test_an_error_is_known_by_its_class() -> None:
    error = {"exc_type": "MethodNotFound", "exc_path": "x.y", "exc_args": ["z"], "value": "z"}

    assert read(answer(error=error), REPLY_ID) == CallAnswer("c1", error="MethodNotFound")


@pytest.mark.attack
@pytest.mark.parametrize(
    "message",
    [
        received(exchange=f"fleet.hosts.h2.{'0' * 32}"),
        received(exchange="fleet.hosts.h1"),
        received(exchange="", key="h1.worker.policy-run"),
        received("h2.worker.policy-run"),
        received("h1x.worker.policy-run"),
        received("h1.worker.inventory"),
        received("h1.sampler.policy-run"),
        received("h1.reply.another", b'{"result": null, "error": null}'),
        received(application_headers={"x-death": []}),
        received(application_headers={"compression": "application/x-gzip"}),
        received(content_type="application/x-python-serialize"),
        received(content_encoding="utf-16"),
        received(**{UNDECODABLE_PROPERTY: "ValueError()"}),
        received(body=RUN + b" " * MAX_BYTES[PolicyRunChanged]),
        received(body=b"[" * 100_000),
        received(body=encode(PolicyRunChanged(run=a_run(1, operation_id="x" * 65)))),
        received(body=encode(PolicyRunChanged(run=a_run(1, operation_id="a b")))),
        received(body=encode(PolicyRunChanged(run=a_run(1, uuid="")))),
        received(body=encode(PolicyRunChanged(run=a_run(1, slot="")))),
        answer(correlation_id=None),
        answer(correlation_id=7),
    ],
)
def test_what_is_not_certainly_a_message_of_the_host_for_us_is_not_read(message: Received) -> None:
    with pytest.raises(UnreadableMessage):
        read(message, REPLY_ID)


@pytest.mark.attack
@pytest.mark.parametrize("result", [None, [], {"runs": 1}, {"runs": [{"slot": ""}]}, "x"])
def test_an_answer_that_is_no_page_is_none(result: object) -> None:
    told = read(answer(result), REPLY_ID)

    assert isinstance(told, CallAnswer)
    with pytest.raises(UnreadableMessage):
        told.page()


def test_a_heartbeat_is_one_of_the_host_whose_exchange_it_came_through() -> None:
    beat = encode(a_heartbeat())

    assert read_heartbeat(received("h1.worker.heartbeat", beat)) == "h1"
    for message in (
        received("h2.worker.heartbeat", beat),
        received("h1.worker.policy-run", beat),
        received("h1.worker.heartbeat", b"{}"),
    ):
        with pytest.raises(UnreadableMessage):
            read_heartbeat(message)


@pytest.mark.attack
@given(
    st.sampled_from(["h1.worker.policy-run", "h1.worker.protection", f"h1.reply.{REPLY_ID}"]),
    st.one_of(
        st.binary(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(msgspec.json.encode),
    ),
)
def test_any_bytes_are_read_or_refused(key: str, body: bytes) -> None:
    try:
        message = read(received(key, body, correlation_id="c1"), REPLY_ID)
        if isinstance(message, CallAnswer):
            message.page()
    except UnreadableMessage as exc:
        assert exc.reason  # noqa: PT017 - either of the two outcomes is right
