"""What LXD's events say to ask about."""

from __future__ import annotations

import msgspec
import pytest

from services.metrics.sampler.poll_schedule import (
    AFTER_START_S,
    SOON_S,
    affects_many,
    poll_delays_s,
)
from shared.lxd.models import LifecycleEvent, LifecycleMetadata
from tests.support.sampler import event


@pytest.mark.parametrize("action", ["instance-started", "instance-restarted", "instance-restored"])
def test_after_a_start_the_instance_is_asked_about_again_for_its_address(action: str) -> None:
    assert poll_delays_s(event(action)) == AFTER_START_S
    assert event(action).identity == ("default", "web")


@pytest.mark.parametrize(
    "action",
    ["instance-stopped", "instance-shutdown", "instance-updated", "instance-deleted"],
)
def test_a_change_is_asked_about_once(action: str) -> None:
    assert poll_delays_s(event(action)) == (SOON_S,)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/1.0/instances/web?project=shop", "web"),
        ("/1.0/instances/%77eb", "web"),
        ("//[/web", "web"),
        ("", ""),
        ("\udcff?", "\udcff"),
    ],
)
def test_whatever_an_event_is_about_has_a_name(source: str, name: str) -> None:
    odd = LifecycleEvent(
        metadata=LifecycleMetadata(action="instance-started", source=source), project="shop"
    )

    assert odd.identity == ("shop", name)


@pytest.mark.parametrize(
    "action",
    ["instance-exec", "instance-paused", "instance-created", "instance-snapshot-created", ""],
)
def test_what_changes_nothing_that_is_measured_asks_nothing(action: str) -> None:
    assert poll_delays_s(event(action)) == ()
    assert not affects_many(event(action))


def test_a_changed_profile_may_concern_many() -> None:
    assert affects_many(event("profile-updated"))


def test_an_event_is_read_as_lxd_sends_it() -> None:
    sent = (
        b'{"type":"lifecycle","timestamp":"2026-11-20T10:00:00Z","location":"none","project":"lab",'
        b'"metadata":{"action":"instance-started","source":"/1.0/instances/a%20b?project=lab",'
        b'"requestor":{"username":"root"},"context":null}}'
    )

    heard = msgspec.json.decode(sent, type=LifecycleEvent)

    assert heard.identity == ("lab", "a b")
    assert poll_delays_s(heard) == AFTER_START_S
