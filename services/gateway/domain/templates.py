"""Templates: what `template` of a new instance may name.

Some stand in a file that the operator edits; besides, every image in a host's own store is one,
under each of its aliases, or under its fingerprint where it has none. A name in the file hides an
image of the same name. A request can only choose among them: it never brings an image's address.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from shared.contracts.changes import ImageSource
from shared.contracts.events import HostDescribed
from shared.contracts.hosts import Image

CONTAINER, VIRTUAL_MACHINE = TYPES = ("container", "virtual-machine")

_FIELDS = frozenset({"os", "type", "description", "alias", "fingerprint", "remote"})

# Takes one complaint about the operator's file.
Complain = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Template:
    """One template. Of `sources` a host takes the first that it has or may fetch."""

    id: str
    os: str
    sources: tuple[ImageSource, ...]
    type: str = CONTAINER
    description: str = ""

    def source_on(self, described: HostDescribed, kind: str) -> ImageSource | None:
        """Return where a host takes the image of a container or virtual machine from, if at all.

        Whether it may fetch from a remote only its worker knows.
        """
        return next((each for each in self.sources if _is_had(each, described, kind)), None)

    @property
    def remote(self) -> str:
        """The image server that it may come from; empty: it has to be in a host's store."""
        return next((each.remote for each in self.sources if each.remote), "")


class Listed(NamedTuple):
    """A template, and the hosts whose own store has its image."""

    template: Template
    hosts: list[str]


def find(
    name: str, templates: Sequence[Template], hosts: Iterable[HostDescribed]
) -> Template | None:
    """Return the template of a name; None: neither the file nor any host has it."""
    images = (image for described in hosts for image in described.images)
    stored = (_of_image(name, image) for image in images if name in _names(image))
    return next(chain((each for each in templates if each.id == name), stored), None)


def os_of(
    source: ImageSource, templates: Sequence[Template], described: HostDescribed | None
) -> str:
    """Return the system that a host gets from a source; empty: neither file nor host says."""
    ours = (each.os for each in templates if source in each.sources)
    images = described.images if described else ()
    return next(chain(ours, (each.os for each in images if _is_of(source, each))), "")


def listed(templates: Sequence[Template], hosts: Mapping[str, HostDescribed]) -> list[Listed]:
    """Return all templates: those of the file in its order, then the hosts' images."""
    found = {template.id: template for template in templates}
    stores: defaultdict[str, list[str]] = defaultdict(list)
    for host, described in hosts.items():
        for image in described.images:
            for name in (*image.aliases, image.fingerprint):
                stores[name].append(host)
            for name in _names(image):
                found.setdefault(name, _of_image(name, image))
    return [Listed(template, _holders(template, stores)) for template in found.values()]


def read(document: object, complain: Complain) -> tuple[Template, ...]:
    """Return the templates of a parsed file: a mapping of ids to their fields.

    What is wrong with a template is complained of, and the template is left out.
    """
    if not isinstance(document, dict) or not document:
        complain("it holds no templates: it takes `id: {alias: ..., os: ...}`")
        return ()
    read_ones = (_template(str(name), fields, complain) for name, fields in document.items())
    return tuple(template for template in read_ones if template)


def _template(name: str, fields: object, complain: Complain) -> Template | None:
    problem = _problem(fields)
    if problem or not isinstance(fields, dict):
        complain(f"template {name!r} {problem}")
        return None
    return Template(
        id=name,
        os=fields.get("os", ""),
        sources=tuple(_sources(fields)),
        type=fields.get("type", CONTAINER),
        description=fields.get("description", ""),
    )


def _problem(fields: object) -> str:
    """Return what is wrong with a template's fields; empty: nothing."""
    if not isinstance(fields, dict):
        return "is no mapping of fields"
    if unknown := sorted(map(str, fields.keys() - _FIELDS)):
        return f"has unknown fields: {', '.join(unknown)}"
    if texts := sorted(name for name, value in fields.items() if not isinstance(value, str)):
        return f"has fields that are no text (quote them): {', '.join(texts)}"
    if fields.get("type", CONTAINER) not in TYPES:
        return f"has type {fields['type']!r}; it takes {' or '.join(TYPES)}"
    if not all(fields.get("remote", "a:b").partition(":")):
        return f"has remote {fields['remote']!r}; it takes SERVER:ALIAS"
    if not fields.keys() & {"alias", "fingerprint", "remote"}:
        return "names no image: it takes alias, fingerprint or remote"
    return ""


def _sources(fields: Mapping[str, str]) -> Iterable[ImageSource]:
    if fingerprint := fields.get("fingerprint"):
        yield ImageSource(fingerprint=fingerprint)
    if alias := fields.get("alias"):
        yield ImageSource(alias=alias)
    if remote := fields.get("remote"):
        server, _, alias = remote.partition(":")
        yield ImageSource(remote=server, alias=alias)


def _names(image: Image) -> tuple[str, ...]:
    """Return the templates that an image in a store stands for."""
    return image.aliases or (image.fingerprint,)


def _of_image(name: str, image: Image) -> Template:
    source = ImageSource(alias=name) if image.aliases else ImageSource(fingerprint=name)
    return Template(name, image.os, (source,), image.type, image.description)


def _is_had(source: ImageSource, described: HostDescribed, kind: str) -> bool:
    return bool(source.remote) or any(
        image.type == kind and _is_of(source, image) for image in described.images
    )


def _is_of(source: ImageSource, image: Image) -> bool:
    if source.fingerprint:
        return image.fingerprint.startswith(source.fingerprint)
    return source.alias in image.aliases


def _holders(template: Template, stores: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the hosts that have one of a template's images, by the images' names on hosts."""
    own = [source for source in template.sources if not source.remote]
    names = {source.alias for source in own} | {
        name
        for source in own
        for name in stores
        if source.fingerprint and name.startswith(source.fingerprint)
    }
    return sorted({host for name in names for host in stores.get(name, ())})
