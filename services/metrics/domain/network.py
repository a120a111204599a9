"""Whose traffic the counters of network interfaces are.

A container's interface is one end of a pair. The host's end counts the same bytes and packets the
other way round: what the host sends there is what the container receives. Errors and losses are
counted only where they happen, so that of those inside the host's end knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from services.metrics.domain.described import Counters, Nic
from services.metrics.domain.usage import Traffic
from shared.contracts.instances import Interface

LOOPBACK = "lo"

# The lines of /proc/net/dev before the first interface, and where the counts stand in the others:
# bytes, packets, errors and losses, each of receiving and of sending.
_HEADER_LINES = 2
_counts = itemgetter(0, 8, 1, 9, 2, 10, 3, 11)


def parse_net_dev(text: str) -> dict[str, Counters]:
    """Return the counters of each interface in the text of a `/proc/net/dev`."""
    counters = {}
    for line in text.splitlines()[_HEADER_LINES:]:
        name, _, rest = line.partition(":")
        counters[name.strip()] = Counters(*map(int, _counts(rest.split())))
    return counters


def traffic_from_outside(
    nics: Iterable[Nic], host: Mapping[str, Counters], told: Traffic | None
) -> Traffic | None:
    """Return an instance's traffic by its interfaces' ends on the host; None if one is not there.

    It is not there when it has been replaced meanwhile, or when the device has no end on the host.
    Errors and losses are as they were told last.
    """
    devices = {nic.host_end: nic.device for nic in nics}
    if not devices.keys() <= host.keys():
        return None
    inside = {each.device: each for each in told.interfaces} if told else {}
    return _traffic(
        devices,
        [
            _seen_from_outside(device, host[end], inside.get(device))
            for end, device in devices.items()
        ],
    )


def traffic_of(counters: Mapping[str, Counters]) -> Traffic:
    """Return the traffic of all these interfaces but loopback, as they count it."""
    counted = {name: each for name, each in counters.items() if name != LOOPBACK}
    return _traffic(counted, [_seen_from_inside(name, each) for name, each in counted.items()])


def _traffic(ends: Iterable[str], interfaces: Sequence[Interface]) -> Traffic:
    return Traffic(
        received=sum([each.rx_bytes for each in interfaces]),
        sent=sum([each.tx_bytes for each in interfaces]),
        ends=frozenset(ends),
        interfaces=tuple(interfaces),
    )


def _seen_from_outside(device: str, end: Counters, inside: Interface | None) -> Interface:
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


def _seen_from_inside(device: str, counters: Counters) -> Interface:
    return Interface(
        device=device,
        rx_bytes=counters.bytes_received,
        tx_bytes=counters.bytes_sent,
        rx_packets=counters.packets_received,
        tx_packets=counters.packets_sent,
        rx_errors=counters.errors_received,
        tx_errors=counters.errors_sent,
        rx_dropped=counters.packets_dropped_inbound,
        tx_dropped=counters.packets_dropped_outbound,
    )
