"""How an instance is reached through NAT: its SSH port, its port range, its root password.

NAT-VPS scripts write these facts to three sources. Each fact comes from the first source that has
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
    """How an instance is reached; `nat_ports` is text such as `30000-30025` or `80,443`."""

    ssh_port: int | None = None
    nat_ports: str | None = None
    root_password: str | None = None


def nat(instance: Instance, *, foreign_note: bool = False) -> Nat:
    """Return the facts of all three sources; a note of another instance is ignored."""
    sources = (
        _of_keys(instance.user),
        _of_proxies(instance.proxies),
        Nat() if foreign_note else _of_note(_note(instance)),
    )
    return Nat(
        ssh_port=_first(source.ssh_port for source in sources),
        nat_ports=_first(source.nat_ports for source in sources),
        root_password=_first(source.root_password for source in sources),
    )


def foreign_note_name(instance: Instance) -> str:
    """Return the name in an instance's note; empty if there is none, or it is its own."""
    note = _note(instance)
    return note.name if note and note.name != instance.name else ""


def description(instance: Instance) -> str:
    """Return LXD's description, else `user.description`, where scripts write it."""
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
    """Return the valid note: under another name only one of the long form.

    `Debian 12 bookworm` has the short form.
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
        nat_ports=_ranges(span for forward in forwards for span in forward.without_ssh()),
    )


@dataclass(frozen=True, slots=True)
class _Forward:
    """One proxy device: the ports on the host, and those that they reach in the instance.

    `plain`: the traffic is forwarded unchanged, without a PROXY protocol header.
    """

    protocol: str
    listen: tuple[Span, ...]
    connect: tuple[Span, ...]
    plain: bool

    def listening_for(self, port: int) -> int | None:
        """Return the host's TCP port that is forwarded to the instance's `port`."""
        position = _position(self.connect, port)
        if self.protocol != "tcp" or position is None or not self.plain:
            return None
        return _at(self.listen, position)

    def without_ssh(self) -> tuple[Span, ...]:
        """Return the host's ports; none for a device that forwards SSH only."""
        return () if self.connect == ((SSH, SSH),) else self.listen


def _forward(proxy: Proxy) -> _Forward | None:
    """Return the forward from outside to the instance; None if the proxy is none."""
    if not proxy.on_host or (_is_local(proxy.listen) and forward_of(proxy) is None):
        return None
    protocol, listen = _endpoint(proxy.listen)
    _, connect = _endpoint(proxy.connect)
    if not (listen and connect):
        return None
    return _Forward(protocol, listen, connect, plain=not proxy.proxy_protocol)


def _is_local(listen: str) -> bool:
    """Whether only the host itself can connect."""
    address = listen.partition(":")[2].rpartition(":")[0].strip("[]")
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _endpoint(text: str) -> tuple[str, tuple[Span, ...]]:
    """Parse `tcp:0.0.0.0:30000-30025,40000`; no spans for a Unix socket."""
    protocol, _, rest = text.partition(":")
    spans = [span_of(part) for part in rest.rpartition(":")[2].split(",")]
    valid = tuple(span for span in spans if span is not None)
    return protocol, valid if len(valid) == len(spans) else ()


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
    """Return the ports as ranges; None for a single port, which is no NAT range."""
    merged = list(_merge_adjacent(spans))
    several = len(merged) > 1 or any(last > first for first, last in merged)
    return _text(merged) if several else None


def _merge_adjacent(spans: Iterable[Span]) -> Iterator[Span]:
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
