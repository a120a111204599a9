"""How an instance is reached through NAT: its SSH port, its port range, its root password.

NAT-VPS scripts leave these facts in three places. Each fact is taken from the first place that has
it: the operator's own `user.*` keys, the proxy devices (which are what LXD really forwards), and
last the note in the description (`shared.contracts.notes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

from shared.contracts.forwards import SSH, forward_of
from shared.contracts.instances import Instance, Proxy
from shared.contracts.notes import Note, Span, note_of, port_of, span_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Nat:
    """What is known; `nat_ports` is text such as `30000-30025` or `80,443`."""

    ssh_port: int | None = None
    nat_ports: str | None = None
    root_password: str | None = None


def nat(instance: Instance, *, note_is_anothers: bool = False) -> Nat:
    """Return what the three places say together; a note that is another instance's says nothing."""
    places = (
        _of_keys(instance.user),
        _of_proxies(instance.proxies),
        Nat() if note_is_anothers else _of_note(_note(instance)),
    )
    return Nat(
        ssh_port=_first(place.ssh_port for place in places),
        nat_ports=_first(place.nat_ports for place in places),
        root_password=_first(place.root_password for place in places),
    )


def foreign_note_name(instance: Instance) -> str:
    """Return the name in an instance's note; empty where that is its own, or there is no note."""
    note = _note(instance)
    return note.name if note and note.name != instance.name else ""


def description(instance: Instance) -> str:
    """Return LXD's description, else the one scripts keep in `user.description`."""
    return instance.description or instance.user.get("description", "")


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


def _of_keys(user: Mapping[str, str]) -> Nat:
    spans = [span_of(part) for part in user.get("nat_ports", "").split(",")]
    return Nat(
        ssh_port=port_of(user.get("ssh_port", "")),
        nat_ports=None if None in spans else _text(span for span in spans if span),
        root_password=user.get("root_password") or None,
    )


def _note(instance: Instance) -> Note | None:
    """Return the note that is believed: under another name only one of the long form.

    `Debian 12 bookworm` has the short one.
    """
    texts = (instance.description, instance.user.get("description", ""))
    notes = [note for text in texts if (note := note_of(text))]
    return next((note for note in notes if note.name == instance.name or note.ports), None)


def _of_note(note: Note | None) -> Nat:
    if note is None:
        return Nat()
    return Nat(note.ssh_port, _text([note.ports]) if note.ports else None, note.password)


def _of_proxies(proxies: Iterable[Proxy]) -> Nat:
    forwards = [forward for proxy in proxies if (forward := _forward(proxy))]
    return Nat(
        ssh_port=_first(forward.listening_for(SSH) for forward in forwards),
        nat_ports=_ranges(span for forward in forwards for span in forward.beside_ssh()),
    )


@dataclass(frozen=True, slots=True)
class _Forward:
    """One proxy device: what listens on the host, and what that reaches in the instance.

    `plain`: what it is sent is handed on as it is, and nothing beside it.
    """

    protocol: str
    listen: tuple[Span, ...]
    connect: tuple[Span, ...]
    plain: bool

    def listening_for(self, port: int) -> int | None:
        """Return the host's TCP port that ends at the instance's `port`."""
        position = _position(self.connect, port)
        if self.protocol != "tcp" or position is None or not self.plain:
            return None
        return _at(self.listen, position)

    def beside_ssh(self) -> tuple[Span, ...]:
        """Return the host's ports, but for a device that is there for SSH alone."""
        return () if self.connect == ((SSH, SSH),) else self.listen


def _forward(proxy: Proxy) -> _Forward | None:
    """Return what leads to the instance from outside; None where a proxy does not."""
    if not proxy.on_host or (_is_local(proxy.listen) and forward_of(proxy) is None):
        return None
    protocol, listen = _endpoint(proxy.listen)
    _, connect = _endpoint(proxy.connect)
    if not (listen and connect):
        return None
    return _Forward(protocol, listen, connect, plain=not proxy.proxy_protocol)


def _is_local(listen: str) -> bool:
    """Whether only the host itself can connect; a pool's address is where its operator wants it."""
    address = listen.partition(":")[2].rpartition(":")[0].strip("[]")
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _endpoint(text: str) -> tuple[str, tuple[Span, ...]]:
    """Read `tcp:0.0.0.0:30000-30025,40000`; no spans where it is no port (a unix socket)."""
    protocol, _, rest = text.partition(":")
    spans = [span_of(part) for part in rest.rpartition(":")[2].split(",")]
    known = tuple(span for span in spans if span is not None)
    return protocol, known if len(known) == len(spans) else ()


def _position(spans: Iterable[Span], port: int) -> int | None:
    before = 0
    for first, last in spans:
        if first <= port <= last:
            return before + port - first
        before += last - first + 1
    return None


def _at(spans: Iterable[Span], position: int) -> int | None:
    for first, last in spans:
        if position <= last - first:
            return first + position
        position -= last - first + 1
    return None


def _ranges(spans: Iterable[Span]) -> str | None:
    """Return the ports as ranges; a single port is no range, so it is not one of NAT."""
    joined = list(_joined(spans))
    several = len(joined) > 1 or any(last > first for first, last in joined)
    return _text(joined) if several else None


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for span in sorted(spans):
        if current and span[0] <= current[1] + 1:
            current = (current[0], max(current[1], span[1]))
            continue
        if current:
            yield current
        current = span
    if current:
        yield current


def _text(spans: Iterable[Span]) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
