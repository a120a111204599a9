from __future__ import annotations

import re

import pytest

from shared.platform.bus import topology
from shared.platform.bus.permissions import host_permissions

SIMILAR = [("h1", "h11"), ("h1", "xh1"), ("a-b", "a.b"), ("a-b", "axb"), ("h1", "H1")]


@pytest.mark.attack
def test_a_host_may_write_to_its_own_exchange_only() -> None:
    own = topology.host_exchange("h1", "secret")
    write = host_permissions("h1", "secret").write

    assert re.search(write, own)
    for other in (
        "fleet.hosts.h1",
        topology.host_exchange("h1", "before"),
        topology.host_exchange("h11", "secret"),
        f"{own}0",
        own.replace(".", "x"),
        topology.outcomes_queue(own).name,
    ):
        assert not re.search(write, other)


@pytest.mark.parametrize(("host", "stranger"), SIMILAR)
def test_no_expression_of_a_host_matches_a_key_of_a_similar_name(host: str, stranger: str) -> None:
    permissions = host_permissions(host, "secret")
    write, _ = permissions.topics[topology.host_exchange(host, "secret")]
    stream = "0" * 32

    assert re.search(write, topology.reply_key(host, "g"))
    assert re.search(write, f"{host}.worker.heartbeat")
    assert re.search(write, topology.stream_key_of(host, stream))
    assert re.search(permissions.read, topology.stream_queue(host, stream))
    assert not re.search(write, topology.reply_key(stranger, "g"))
    assert not re.search(write, f"{stranger}.worker.heartbeat")
    assert not re.search(write, topology.stream_key_of(stranger, stream))
    assert not re.search(permissions.read, topology.stream_queue(stranger, stream))
