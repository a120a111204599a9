from __future__ import annotations

from dataclasses import replace

from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses.entry_cache import Entries
from tests.support.builders import an_instance_sample
from tests.support.views import a_host_view, a_view, offline


class Rendering:
    """Renders the name, and remembers for whom it was asked."""

    def __init__(self) -> None:
        self.rendered: list[str] = []

    def __call__(self, instance: InstanceView, host: HostView) -> bytes:
        self.rendered.append(instance.instance.name)
        return instance.instance.name.encode()


ONE, TWO = a_view("one"), a_view("two")
HOSTS = {"h1": a_host_view()}


def test_an_entry_is_rendered_once_while_nothing_changes() -> None:
    render = Rendering()
    entries = Entries(render)

    first = entries.refreshed([ONE, TWO], HOSTS)
    second = entries.refreshed([replace(ONE), TWO], HOSTS)

    assert first == second == [(ONE, b"one"), (TWO, b"two")]
    assert render.rendered == ["one", "two"]


def test_only_what_changed_is_rendered_again() -> None:
    render = Rendering()
    entries = Entries(render)
    entries.refreshed([ONE, TWO], HOSTS)

    entries.refreshed([ONE, replace(TWO, sample=an_instance_sample("two", cpu_percent=1.0))], HOSTS)
    entries.refreshed([offline(ONE, 4.0), TWO], HOSTS)
    entries.refreshed([offline(ONE, 5.0), TWO], HOSTS)

    assert render.rendered == ["one", "two", "two", "one", "two", "one"]


def test_a_host_that_loses_its_lxd_changes_its_entries() -> None:
    render = Rendering()
    entries = Entries(render)
    entries.refreshed([ONE], HOSTS)

    entries.refreshed([ONE], {"h1": a_host_view(lxd_connected=False)})

    assert render.rendered == ["one", "one"]


def test_an_instance_that_is_gone_is_not_kept() -> None:
    render = Rendering()
    entries = Entries(render)
    entries.refreshed([ONE, TWO], HOSTS)

    entries.refreshed([ONE], HOSTS)
    entries.refreshed([ONE, TWO], HOSTS)

    assert render.rendered == ["one", "two", "two"]
