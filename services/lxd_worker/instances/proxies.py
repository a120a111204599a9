"""The proxy devices among LXD's devices of an instance, as the fleet knows them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from shared.contracts.bounds import LONGEST_WORD, MOST_PROXY_OPTIONS, clip
from shared.contracts.forwards import forward_of
from shared.contracts.instances import Proxy

_NO_OPTIONS = ("type", "listen", "connect")


def proxies_in(devices: Mapping[str, Mapping[str, str]]) -> tuple[Proxy, ...]:
    """Return the proxies, in the order of the devices."""
    return tuple(_proxy(name, device) for name, device in devices.items() if _is(device))


def is_forward(name: str, device: Mapping[str, str]) -> bool:
    """Whether a device is a proxy of ours."""
    return _is(device) and forward_of(_proxy(name, device)) is not None


def _is(device: Mapping[str, str]) -> bool:
    return device.get("type") == "proxy"


def _proxy(name: str, device: Mapping[str, str]) -> Proxy:
    options = sorted((k, v) for k, v in device.items() if v and k not in _NO_OPTIONS)
    return Proxy(
        device=name,
        listen=device.get("listen", ""),
        connect=device.get("connect", ""),
        # Cut here: one that is left out later would make a proxy of another's look like ours.
        options={
            clip(key, LONGEST_WORD): clip(text, LONGEST_WORD)
            for key, text in islice(options, MOST_PROXY_OPTIONS)
        },
    )
