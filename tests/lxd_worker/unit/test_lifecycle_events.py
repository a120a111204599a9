"""Which instances an event of LXD's says to look at."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.lxd_worker.instances.lifecycle_events import (
    AffectedInstance,
    affected_instances,
    affects_many,
)
from shared.lxd.models import LifecycleEvent


def event(action: str, source: str = "/1.0/instances/web", **more: Any) -> LifecycleEvent:
    context = more.pop("context", None)
    metadata = {"action": action, "source": source, "context": context}
    return msgspec.convert({"type": "lifecycle", "metadata": metadata, **more}, LifecycleEvent)


@pytest.mark.parametrize("action", ["instance-started", "instance-shutdown", "instance-restored"])
def test_what_happens_to_an_instance_touches_it(action: str) -> None:
    assert affected_instances(event(action)) == [AffectedInstance("default", "web", action)]


@pytest.mark.parametrize(
    "action",
    [
        "instance-exec",
        "instance-console",
        "instance-snapshot-created",
        "instance-backup-deleted",
        "instance-file-pushed",
        "image-created",
        "network-updated",
        "",
    ],
)
def test_what_leaves_every_instance_as_it_is_touches_none(action: str) -> None:
    assert affected_instances(event(action)) == []


def test_a_renamed_instance_is_gone_under_its_old_name_and_there_under_the_new() -> None:
    renamed = event("instance-renamed", context={"old_name": "old"})

    assert [one.name for one in affected_instances(renamed)] == ["old", "web"]


def test_an_event_of_another_project_keeps_the_project() -> None:
    elsewhere = event("instance-started", "/1.0/instances/web?project=lab", project="lab")

    assert affected_instances(elsewhere) == [AffectedInstance("lab", "web", "instance-started")]


@pytest.mark.parametrize(
    ("action", "many"),
    [("profile-updated", True), ("profile-renamed", True), ("instance-updated", False)],
)
def test_a_profile_touches_every_instance_that_may_use_it(action: str, many: bool) -> None:
    assert affects_many(event(action, "/1.0/profiles/default")) is many


@pytest.mark.parametrize(
    "source",
    ["", "//[", "/1.0/instances/" + "x" * 64, "/1.0/instances/no_name", "/1.0/instances/%ff"],
)
def test_what_no_message_can_name_is_not_looked_at(source: str) -> None:
    assert affected_instances(event("instance-updated", source)) == []


def test_only_names_that_a_message_takes_are_looked_at_after_a_rename() -> None:
    renamed = event("instance-renamed", context={"old_name": ["web"]})

    assert affected_instances(renamed) == [AffectedInstance("default", "web", "instance-renamed")]
