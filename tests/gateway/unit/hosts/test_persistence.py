"""Hosts outlive the gateway's process."""

from collections.abc import Sequence
from unittest.mock import patch

import pytest

from services.gateway.fleet.host_state import StoredHost
from services.gateway.hosts.persistence import AT_ONCE
from shared.contracts.errors import DatabaseUnavailable, HostNotFound, HostStillOnline
from tests.support.builders import a_change, a_heartbeat, an_instance
from tests.support.core import Core


async def test_a_host_that_changed_is_kept_once(gateway: Core) -> None:
    gateway.events.on_event("h1", a_change(an_instance("new")))
    await gateway.persistence.save()
    kept = dict(gateway.host_store.hosts)
    gateway.host_store.hosts.clear()
    await gateway.persistence.save()

    assert [instance.name for instance in kept["h1"].instances] == ["web", "new"]
    assert (kept["h1"].fingerprint, kept["h1"].epoch) == ("f1", 1)
    assert gateway.host_store.hosts == {}


async def test_a_heartbeat_that_changes_nothing_is_not_kept(gateway: Core) -> None:
    gateway.events.on_event("h1", a_heartbeat(sequence=1))

    await gateway.persistence.save()

    assert gateway.host_store.hosts == {}


async def test_what_could_not_be_kept_is_kept_later(gateway: Core) -> None:
    gateway.events.on_event("h1", a_change(an_instance("new")))

    gateway.host_store.away = True
    with pytest.raises(DatabaseUnavailable):
        await gateway.persistence.save()
    gateway.host_store.away = False
    await gateway.persistence.save()

    assert set(gateway.host_store.hosts) == {"h1"}


async def test_many_hosts_are_kept_a_part_at_a_time(gateway: Core) -> None:
    hosts = {f"n{number}" for number in range(2 * AT_ONCE + 1)}
    for host in hosts:
        gateway.events.on_event(host, a_heartbeat())
    parts: list[int] = []
    save = gateway.host_store.save

    async def count(stored: Sequence[StoredHost]) -> None:
        parts.append(len(stored))
        await save(stored)

    with patch.object(gateway.host_store, "save", count):
        await gateway.persistence.save()

    assert parts == [AT_ONCE, AT_ONCE, 1]
    assert hosts <= set(gateway.host_store.hosts)


async def test_a_forgotten_host_is_kept_nowhere(gateway: Core) -> None:
    gateway.events.on_event("h1", a_change(an_instance("new")))
    await gateway.persistence.save()
    gateway.persistence.mark_unsaved("h1")
    gateway.time.advance(16)

    await gateway.persistence.forget("h1")
    await gateway.persistence.save()

    assert gateway.host_store.hosts == {}
    with pytest.raises(HostNotFound):
        gateway.fleet.host("h1")


async def test_a_host_that_reports_is_not_forgotten(gateway: Core) -> None:
    with pytest.raises(HostStillOnline):
        await gateway.persistence.forget("h1")


async def test_an_unknown_host_cannot_be_forgotten(gateway: Core) -> None:
    with pytest.raises(HostNotFound):
        await gateway.persistence.forget("h9")
