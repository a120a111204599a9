"""Compute instances' traffic from the counters of network interfaces.

A container's interface is one end of a pair. The host's end counts the same bytes and packets in
the other direction: the host sends what the container receives. Errors and drops are counted only
where they occur, so the host's end does not have those inside.

Root inside names the interfaces, with any bytes except `/`, `:` and blanks, and can create any
number of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter

from services.metrics.sampler.kernel_counters import Traffic
from services.metrics.sampler.lxd_instances import Nic
from services.metrics.sampler.sanitize import (
    MOST_DEVICE_CHARACTERS,
    MOST_INTERFACES,
    MOST_INTERFACES_BYTES,
    OUT_OF_RANGE,
    TOO_MANY,
    UNREADABLE,
    Dropped,
    count,
    first_of,
    word,
)
from shared.contracts.bounds import MOST
from shared.contracts.samples import Interface
from shared.lxd.models import NetworkCounters

LOOPBACK = "lo"

# Header lines of /proc/net/dev, and the columns of bytes, packets, errors and drops, each received
# and sent.
_HEADER_LINES = 2
_counts = itemgetter(0, 8, 1, 9, 2, 10, 3, 11)


def parse_net_dev(text: bytes, dropped: Dropped) -> dict[str, NetworkCounters]:
    """Return the counters of each interface in the text of a `/proc/net/dev`.

    Invalid UTF-8 in a name becomes lone surrogates.
    """
    counters = {}
    # Not splitlines(), which also splits at characters that a name may contain.
    for line in text.split(b"\n")[_HEADER_LINES:]:
        name, colon, rest = line.partition(b":")
        if not colon:
            continue
        try:
            numbers = [*map(int, _counts(rest.split()))]
        except (ValueError, IndexError):
            dropped[UNREADABLE] += 1
            continue
        if min(numbers) < 0 or max(numbers) > MOST:
            dropped[OUT_OF_RANGE] += 1
            continue
        counters[name.strip(b" ").decode(errors="surrogateescape")] = NetworkCounters(*numbers)
    return counters


def traffic_from_outside(
    nics: Iterable[Nic], host: Mapping[str, NetworkCounters], last: Traffic | None, dropped: Dropped
) -> Traffic | None:
    """Return an instance's traffic from its interfaces' ends on the host; None if one is missing.

    One is missing if it was replaced meanwhile, or if the device has no end on the host. Errors and
    drops are those of the last description by LXD.
    """
    devices = {nic.host_end: nic.device for nic in nics}
    if not devices.keys() <= host.keys():
        return None
    inside = {each.device: each for each in last.interfaces} if last else {}
    interfaces = [
        _interface_from_host_end(device, host[end], inside.get(device))
        for end, device in devices.items()
    ]
    return Traffic(
        received=_sum([host[end].bytes_sent for end in devices], dropped),
        sent=_sum([host[end].bytes_received for end in devices], dropped),
        ends=frozenset(devices),
        interfaces=_limit(interfaces, dropped, devices.values()),
    )


def traffic_of(
    counters: Mapping[str, NetworkCounters], dropped: Dropped, first: Collection[str] = ()
) -> Traffic:
    """Return the traffic of these interfaces without loopback, as they count it.

    If there are too many to list, those in `first` take precedence.
    """
    external = {name: each for name, each in counters.items() if name != LOOPBACK}
    names = list(external)
    if len(names) > MOST_INTERFACES:
        names.sort(key=lambda name: name not in first)
        dropped[TOO_MANY] += len(names) - MOST_INTERFACES
    interfaces = [
        _interface_inside(name, external[name], dropped) for name in names[:MOST_INTERFACES]
    ]
    return Traffic(
        received=_sum([each.bytes_received for each in external.values()], dropped),
        sent=_sum([each.bytes_sent for each in external.values()], dropped),
        ends=frozenset(external),
        interfaces=_limit(interfaces, dropped, first),
    )


def _sum(numbers: Sequence[int | None], dropped: Dropped) -> int | None:
    """Return the sum; None if any part is unknown."""
    valid = [number for number in numbers if number is not None and number >= 0]
    return count(sum(valid), dropped) if len(valid) == len(numbers) else None


def _limit(
    interfaces: Iterable[Interface | None], dropped: Dropped, first: Collection[str]
) -> tuple[Interface, ...]:
    return first_of(
        [each for each in interfaces if each is not None],
        MOST_INTERFACES,
        MOST_INTERFACES_BYTES,
        dropped,
        lambda interface: (interface.device not in first,),
    )


def _interface_from_host_end(
    device: str, end: NetworkCounters, inside: Interface | None
) -> Interface | None:
    if end.bytes_sent is None or end.bytes_received is None:
        return None
    return Interface(
        device=device,
        rx_bytes=end.bytes_sent,
        tx_bytes=end.bytes_received,
        rx_packets=end.packets_sent,
        tx_packets=end.packets_received,
        rx_errors=inside.rx_errors if inside else None,
        tx_errors=inside.tx_errors if inside else None,
        rx_dropped=inside.rx_dropped if inside else None,
        tx_dropped=inside.tx_dropped if inside else None,
    )


def _interface_inside(name: str, counters: NetworkCounters, dropped: Dropped) -> Interface | None:
    device = word(name, MOST_DEVICE_CHARACTERS, dropped)
    received = count(counters.bytes_received, dropped)
    sent = count(counters.bytes_sent, dropped)
    if device is None or received is None or sent is None:
        return None
    return Interface(
        device=device,
        rx_bytes=received,
        tx_bytes=sent,
        rx_packets=count(counters.packets_received, dropped),
        tx_packets=count(counters.packets_sent, dropped),
        rx_errors=count(counters.errors_received, dropped),
        tx_errors=count(counters.errors_sent, dropped),
        rx_dropped=count(counters.packets_dropped_inbound, dropped),
        tx_dropped=count(counters.packets_dropped_outbound, dropped),
    )
