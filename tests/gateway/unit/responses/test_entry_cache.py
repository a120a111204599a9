from __future__ import annotations

from dataclasses import replace

from services.gateway.fleet.change_set import ChangeSet
from services.gateway.fleet.encoded_samples import encoded_instance
from services.gateway.fleet.pagination import sort_key
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses.entry_cache import (
    EntryCache,
    HostViews,
    nothing_sampled,
    whole_sample,
)
from services.gateway.responses.vm_sizes import disk_in_sample
from tests.support.builders import an_instance_sample
from tests.support.gateway import FakeFleet
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


def shown(cache: EntryCache, view: InstanceView, host: HostView = HOST) -> bytes:
    return cache.entry(view, HostViews(FakeFleet([host], [])))


def test_an_entry_is_rendered_once_while_nothing_changes() -> None:
    render = Rendering()
    cache = EntryCache(render, whole_sample)

    entries = [shown(cache, view, host) for host in (HOST, a_host_view()) for view in (ONE, TWO)]

    assert entries == [b"one", b"two"] * 2
    assert render.rendered == ["one", "two"]


def test_only_what_changed_is_rendered_again() -> None:
    render = Rendering()
    cache = EntryCache(render, whole_sample)

    for view in (ONE, TWO, ONE, a_view("two"), ONE):
        shown(cache, view)

    assert render.rendered == ["one", "two", "two"]


def test_a_host_that_loses_its_lxd_changes_its_entries() -> None:
    render = Rendering()
    cache = EntryCache(render, whole_sample)
    shown(cache, ONE)

    shown(cache, ONE, replace(HOST, lxd_connected=False))

    assert render.rendered == ["one", "one"]


def test_what_shows_an_age_is_not_kept() -> None:
    render = Rendering()
    cache = EntryCache(render, whole_sample)

    for seconds in (4.0, 5.0):
        shown(cache, ONE, an_offline_host(age_s=seconds))

    assert (render.rendered, len(cache)) == (["one", "one"], 0)


def test_what_changed_or_is_gone_is_not_kept() -> None:
    cache = EntryCache(Rendering(), whole_sample)
    for view in (ONE, TWO):
        shown(cache, view)

    cache.on_change(ChangeSet(instances=frozenset({sort_key(ONE)})))
    kept = [len(cache)]
    cache.on_change(ChangeSet(samples=frozenset({TWO.host})))

    assert [*kept, len(cache)] == [1, 0]


def test_only_what_is_named_is_kept() -> None:
    render = Rendering()
    cache = EntryCache(render, whole_sample)
    for view in (ONE, TWO):
        shown(cache, view)

    cache.keep_only([sort_key(TWO)])
    for view in (ONE, TWO):
        shown(cache, view)

    assert render.rendered == ["one", "two", "one"]


def test_what_shows_no_figures_is_kept_when_they_change() -> None:
    render = Rendering()
    cache = EntryCache(render, nothing_sampled)
    sampled = replace(ONE, encoded_sample=encoded_instance(an_instance_sample("one", processes=7)))
    sampled_again = replace(sampled, encoded_sample=None)

    shown(cache, sampled)
    cache.on_change(ChangeSet(samples=frozenset({ONE.host})))
    shown(cache, sampled_again)
    shown(cache, a_view("one"))

    assert render.rendered == ["one", "one"]


def test_what_shows_a_part_of_the_sample_is_kept_until_that_changes() -> None:
    render = Rendering()
    cache = EntryCache(render, disk_in_sample)
    unlimited = a_view("one", root_size=None)

    for sample in ({"processes": 1}, {"processes": 2}, {"disk_total": 1}):
        encoded = encoded_instance(an_instance_sample("one", **sample))
        shown(cache, replace(unlimited, encoded_sample=encoded))

    assert render.rendered == ["one", "one"]
