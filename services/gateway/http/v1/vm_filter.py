"""Which instances a list of VMs shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.views import InstanceView
from services.gateway.responses import instances as shown
from services.gateway.responses.entry_cache import subject_of
from services.gateway.responses.vms import status, vm_id
from services.gateway.vms.naming import display_name_of

Test = Callable[[InstanceView], bool]
# An instance and the text in which it is searched for, in lower case.
Searchable = tuple[InstanceView, str]


@dataclass(frozen=True, slots=True)
class VmFilter:
    """What to show; None: any. `status` is one of the document's words.

    `search` looks into name, id, addresses and description. Each of `labels` must be there, as
    `key`, or with its value as `key=value`.
    """

    status: str | None = None
    search: str | None = None
    host: str | None = None
    type: str | None = None
    project: str | None = None
    labels: tuple[str, ...] = ()


class SearchTexts:
    """What can be searched for in each instance, made anew only for those that changed.

    It holds what this kind of caller gets to see, so that nobody can guess a password.
    """

    def __init__(self, boundary: ErrorBoundary, *, secrets: bool) -> None:
        self._boundary = boundary
        self._secrets = secrets
        self._kept: dict[int, Searchable] = {}

    def refreshed(self, instances: Iterable[InstanceView]) -> list[Searchable]:
        """Return all instances with their texts, in order; forget those that are gone."""
        entries = [self._entry(known) for known in instances]
        self._kept = {id(entry[0]): entry for entry in entries}
        return entries

    def _entry(self, known: InstanceView) -> Searchable:
        # An instance that is the same object shows the same; what is kept cannot lose its id.
        kept = self._kept.get(id(known))
        return kept or (known, self._text(known))

    def _text(self, known: InstanceView) -> str:
        return self._boundary.render(
            subject_of(known),
            lambda: _text(known, secrets=self._secrets),
            lambda: known.instance.name.lower(),
        )


def mentioning(text: str, entries: Iterable[Searchable]) -> list[InstanceView]:
    """Return the instances in which a text is found, whatever its case."""
    wanted = text.lower()
    return [known for known, there in entries if wanted in there]


def select(instances: Sequence[InstanceView], wanted: VmFilter) -> Sequence[InstanceView]:
    """Return what fits of a list in which the search has been made already."""
    tests = _tests(wanted)
    return [k for k in instances if all(test(k) for test in tests)] if tests else instances


def _tests(wanted: VmFilter) -> list[Test]:
    asked: list[tuple[object, Test]] = [
        (wanted.host, lambda known: known.host == wanted.host),
        (wanted.project, lambda known: known.instance.project == wanted.project),
        (wanted.type, lambda known: known.instance.type == wanted.type),
        (wanted.status, lambda known: status(known.instance) == wanted.status),
        (wanted.labels or None, lambda known: _labelled(known.instance.labels, wanted.labels)),
    ]
    return [test for value, test in asked if value is not None]


def _labelled(labels: dict[str, str], wanted: tuple[str, ...]) -> bool:
    return all(_has(labels, *label.partition("=")) for label in wanted)


def _has(labels: dict[str, str], key: str, equals: str, value: str) -> bool:
    return key in labels and (not equals or labels[key] == value)


def _text(known: InstanceView, *, secrets: bool) -> str:
    instance = known.instance
    places = (
        instance.name,
        display_name_of(instance),
        vm_id(known),
        shown.address(known, "inet") or "",
        shown.address(known, "inet6") or "",
        shown.visible_description(known, secrets=secrets),
    )
    return "\n".join(places).lower()
