from __future__ import annotations

from dataclasses import replace

from services.gateway.fleet.change_set import ChangeSet
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses.entry_cache import EntryCache
from tests.support.views import a_host_view, a_view, an_offline_host


class Rendering:
    """Renders the name, and remembers for whom it was asked."""

    def __init__(self) -> None:
        self.rendered: list[str] = []

    def __call__(self, instance: InstanceView, host: HostView) -> bytes:
        self.rendered.append(instance.instance.name)
        return instance.instance.name.encode()


ONE, TWO = a_view("one"), a_view("two")
HOST = a_host_view()


def test_an_entry_is_rendered_once_while_nothing_changes() -> None:
    render = Rendering()
    cache = EntryCache(render)

    entries = [cache.entry(view, host) for host in (HOST, a_host_view()) for view in (ONE, TWO)]

    assert entries == [b"one", b"two"] * 2
    assert render.rendered == ["one", "two"]


def test_only_what_changed_is_rendered_again() -> None:
    render = Rendering()
    cache = EntryCache(render)

    for view in (ONE, TWO, ONE, replace(TWO), ONE):
        cache.entry(view, HOST)

    assert render.rendered == ["one", "two", "two"]


def test_a_host_that_loses_its_lxd_changes_its_entries() -> None:
    render = Rendering()
    cache = EntryCache(render)
    cache.entry(ONE, HOST)

    cache.entry(ONE, replace(HOST, lxd_connected=False))

    assert render.rendered == ["one", "one"]


def test_what_shows_an_age_is_not_kept() -> None:
    render = Rendering()
    cache = EntryCache(render)

    for seconds in (4.0, 5.0):
        cache.entry(ONE, an_offline_host(age_s=seconds))

    assert (render.rendered, len(cache)) == (["one", "one"], 0)


def test_what_changed_or_is_gone_is_not_kept() -> None:
    cache = EntryCache(Rendering())
    for view in (ONE, TWO):
        cache.entry(view, HOST)

    cache.on_change(ChangeSet(instances=frozenset({sort_key(ONE)})))
    kept = [len(cache)]
    cache.on_change(ChangeSet(samples=frozenset({TWO.host})))

    assert [*kept, len(cache)] == [1, 0]


def test_only_what_is_named_is_kept() -> None:
    render = Rendering()
    cache = EntryCache(render)
    for view in (ONE, TWO):
        cache.entry(view, HOST)

    cache.keep_only([sort_key(TWO)])
    for view in (ONE, TWO):
        cache.entry(view, HOST)

    assert render.rendered == ["one", "two", "one"]
