"""Templates: the values of `template` of a new instance.

Some are defined in a file that the operator edits. Besides, every image in a host's own store is a
template, by each of its aliases, or by its fingerprint if it has none, and so is every image of the
image servers that hosts may use, as SERVER:ALIAS. A name in the file hides an image of the same
name. A request can only choose among templates: it never contains an image's URL.

Hosts may have different images under one name. Each host counts for itself only: its report neither
removes a template from the others nor adds it to them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from services.gateway.fleet.remote_images import (
    RemoteImages,
    may_fetch,
    may_use_server,
    merge_types,
)
from services.gateway.fleet.views import HostView
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE, Image, ServedImage
from shared.contracts.instance_config import ImageSource

TYPES = (CONTAINER, VIRTUAL_MACHINE)

_FIELDS = frozenset({"os", "type", "description", "alias", "fingerprint", "remote"})

# An image of which only the name is known.
_UNREAD = ServedImage(aliases=(), types=TYPES)

# A host and an image in its store.
StoreEntry = tuple[str, Image]

# Reports a problem of the operator's file.
Complain = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Template:
    """A template. A host uses the first of `sources` that it has or may fetch.

    `served` are the types that image servers list; empty: none lists it. `stored` are those of the
    hosts' own images; empty: they are all of `type`.
    """

    id: str
    os: str
    sources: tuple[ImageSource, ...]
    type: str = CONTAINER
    description: str = ""
    served: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()

    def resolve_on(self, host: HostView, kind: str) -> tuple[str, ImageSource] | None:
        """Return the type and the source of its image on a host; None: no image fits.

        An empty `kind` is that of the host's image, a container if it may be either.
        """
        for each in (kind,) if kind else self.types:
            if source := self.source_on(host, each):
                return each, source
        return None

    def source_on(self, host: HostView, kind: str) -> ImageSource | None:
        """Return the source of its image on a host for a type; None: no image fits.

        A remote in the file need not be in the server's list: LXD accepts more names than those
        listed.
        """
        return next((each for each in self.sources if self._is_available(each, host, kind)), None)

    @property
    def types(self) -> tuple[str, ...]:
        """The types that can be created from it."""
        return self.served or self.stored or (self.type,)

    @property
    def remote(self) -> str:
        """The image server that it may come from; empty: it must be in a host's store."""
        return next((each.remote for each in self.sources if each.remote), "")

    def _is_available(self, source: ImageSource, host: HostView, kind: str) -> bool:
        if not source.remote:
            return any(each.type == kind and _is_of(source, each) for each in _images_of(host))
        if self.served:
            return may_fetch(host.remote_images, source, kind)
        return may_use_server(host.remote_images, source.remote)


class StoredImage(NamedTuple):
    """An image that some hosts have in their stores under a template's name."""

    type: str
    os: str
    architecture: str
    hosts: list[str]


class ListedTemplate(NamedTuple):
    """A template, the hosts with its image in their own store, and these images."""

    template: Template
    hosts: list[str]
    images: tuple[StoredImage, ...] = ()


def find_template(
    name: str, templates: Sequence[Template], hosts: Sequence[HostView]
) -> Template | None:
    """Return the template of a name; None: neither the file nor any host or server has it."""
    ours = next((each for each in templates if each.id == name), None)
    if ours:
        return ours
    stores = (host.resources.images for host in hosts if host.resources)
    images = [image for images in stores for image in images if _is_called(name, image)]
    return _of_images(name, images) if images else _find_served(name, hosts)


def os_of(source: ImageSource, templates: Sequence[Template], host: HostView) -> str:
    """Return the operating system of an image source on a host; empty: unknown."""
    if ours := next((each.os for each in templates if source in each.sources), ""):
        return ours
    if source.remote:
        on_server = (host.remote_images or {}).get(source.remote) or {}
        return on_server[source.alias].os if source.alias in on_server else ""
    return next((each.os for each in _images_of(host) if _is_of(source, each)), "")


def list_templates(
    templates: Sequence[Template], hosts: Sequence[HostView]
) -> list[ListedTemplate]:
    """Return all templates: those of the file in its order, the hosts' images, the servers'.

    A server's images are listed while a connected host may fetch them.
    """
    found = {template.id: template for template in templates}
    stores: defaultdict[str, list[StoreEntry]] = defaultdict(list)
    named: defaultdict[str, list[Image]] = defaultdict(list)
    for host in hosts:
        for image in _images_of(host):
            for name in (*image.aliases, image.fingerprint):
                stores[name].append((host.host, image))
            for name in _names(image):
                named[name].append(image)
    named.pop("", None)
    for name, images in named.items():
        found.setdefault(name, _of_images(name, images))
    for template in _served([host for host in hosts if host.lxd_connected]):
        found.setdefault(template.id, template)
    return [_listed(template, _stored_images(template, stores)) for template in found.values()]


def suggest(name: str, available: Sequence[ListedTemplate]) -> list[str]:
    """Return alternatives to an unknown template, the most similar name first.

    The many images of image servers come last unless they start alike.
    """

    def common_prefix(other: str) -> int:
        pairs = zip(name, other, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def rank(template: ListedTemplate) -> tuple[int, bool]:
        return -common_prefix(template.template.id), bool(template.template.served)

    return [each.template.id for each in sorted(available, key=rank)]


def parse(document: object, complain: Complain) -> tuple[Template, ...]:
    """Return the templates of a parsed file: a mapping of ids to their fields.

    Invalid templates are reported and left out.
    """
    if not isinstance(document, dict) or not document:
        complain("it holds no templates: it takes `id: {alias: ..., os: ...}`")
        return ()
    parsed = (_template(str(name), fields, complain) for name, fields in document.items())
    return tuple(template for template in parsed if template)


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
    """Return the names of the templates of a stored image."""
    return image.aliases or (image.fingerprint,)


def _is_called(name: str, image: Image) -> bool:
    named = name in image.aliases if image.aliases else name == image.fingerprint
    return named and bool(name) and image.type in TYPES


def _images_of(host: HostView) -> Sequence[Image]:
    """Return the usable images in a host's store."""
    images = host.resources.images if host.resources else ()
    return [image for image in images if image.type in TYPES]


def _find_served(name: str, hosts: Sequence[HostView]) -> Template | None:
    """Return the template of an image server's image; any alias of a server not read yet."""
    server, _, alias = name.partition(":")
    catalogues = [
        host.remote_images[server]
        for host in hosts
        if host.remote_images and server in host.remote_images
    ]
    image: ServedImage | None = None
    for on_server in catalogues:
        image = merge_types(image, on_server[alias]) if on_server and alias in on_server else image
    if image is None and alias and None in catalogues:
        image = _UNREAD
    return _of_server(server, alias, image) if image else None


def _served(hosts: Sequence[HostView]) -> list[Template]:
    """Return the images of the servers that these hosts may use; many hosts share one object.

    The description of an image is that of most hosts.
    """
    distinct = {id(host.remote_images): host.remote_images for host in hosts if host.remote_images}
    shared = Counter(id(host.remote_images) for host in hosts if host.remote_images)
    found: dict[tuple[str, str], ServedImage] = {}
    for server, alias, image in _each_image(distinct[each] for each, _ in shared.most_common()):
        found[server, alias] = merge_types(found.get((server, alias)), image)
    return [_of_server(*name, image) for name, image in found.items()]


def _each_image(all_catalogues: Iterable[RemoteImages]) -> Iterator[tuple[str, str, ServedImage]]:
    for catalogues in all_catalogues:
        for server, on_server in catalogues.items():
            for alias, image in (on_server or {}).items():
                yield server, alias, image


def _of_server(server: str, alias: str, image: ServedImage) -> Template:
    source = ImageSource(remote=server, alias=alias)
    kind = CONTAINER if CONTAINER in image.types else VIRTUAL_MACHINE
    name, served = f"{server}:{alias}", tuple(image.types)
    return Template(name, image.os, (source,), kind, image.description, served)


def _of_images(name: str, images: Sequence[Image]) -> Template:
    """Return the template of all images of a name, with the description of most of them."""
    described = Counter((image.type, image.os, image.description) for image in images)
    [((kind, system, description), _)] = described.most_common(1)
    own = {ImageSource(alias=name) for image in images if image.aliases}
    own |= {ImageSource(fingerprint=name) for image in images if not image.aliases}
    sources = tuple(sorted(own, key=lambda source: source.fingerprint))
    kinds = tuple(each for each in TYPES if each in {image.type for image in images})
    return Template(
        name, system, sources, kind, description, stored=kinds if len(kinds) > 1 else ()
    )


def _is_of(source: ImageSource, image: Image) -> bool:
    if source.fingerprint:
        return image.fingerprint.startswith(source.fingerprint)
    return source.alias in image.aliases


def _stored_images(
    template: Template, stores: Mapping[str, Sequence[StoreEntry]]
) -> list[StoreEntry]:
    """Return the stored images of a template, by the names of images on hosts."""
    own = [source for source in template.sources if not source.remote]
    names = {source.alias for source in own} | {
        name
        for source in own
        for name in stores
        if source.fingerprint and name.startswith(source.fingerprint)
    }
    entries = (each for name in sorted(names) for each in stores.get(name, ()))
    return [each for each in entries if each[1].type in template.types]


def _listed(template: Template, entries: Sequence[StoreEntry]) -> ListedTemplate:
    alike: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for host, image in entries:
        alike[image.type, image.os, image.architecture].add(host)
    images = (StoredImage(*what, sorted(hosts)) for what, hosts in sorted(alike.items()))
    return ListedTemplate(template, sorted({host for host, _ in entries}), tuple(images))
