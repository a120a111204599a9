from __future__ import annotations

import re

import pytest

from shared.contracts.errors import InvalidInput
from shared.contracts.events import Heartbeat, Sampled, SampledV1
from shared.platform.bus import topology


@pytest.mark.parametrize("host", ["h1", "lab-3", "A_b", "9", "x" * 63])
def test_a_host_id_that_fits_a_routing_key_is_taken(host: str) -> None:
    assert topology.validate_host(host) == host


@pytest.mark.parametrize("host", ["", "a.b", "*", "#", "a b", "-x", "x" * 64, "h1\n", "ü"])
def test_a_host_id_that_could_reach_other_keys_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput):
        topology.validate_host(host)


@pytest.mark.parametrize(
    ("key", "read"),
    [
        ("h1.worker.heartbeat", ("h1", Heartbeat)),
        ("h1.sampler.sample", ("h1", SampledV1)),
        ("h1.sampler.sample.v2", ("h1", Sampled)),
        ("h1.sampler.heartbeat", None),
        ("h1.worker.sample", None),
        ("h1.worker.unheard-of", None),
        ("h1.worker", None),
        ("h1", None),
        ("", None),
        ("h*.worker.heartbeat", None),
    ],
)
def test_an_event_key_names_a_host_and_a_type_or_nothing(
    key: str, read: tuple[str, type] | None
) -> None:
    assert topology.read_event_key(key) == read


def test_a_stream_has_a_key_each_way_and_a_queue_of_its_host() -> None:
    stream = "0123456789abcdef" * 2

    assert topology.stream_key_to("h1", stream) == f"h1.in.{stream}"
    assert topology.stream_key_of("h1", stream) == f"h1.out.{stream}"


@pytest.mark.attack
def test_nobody_guesses_the_queues_of_a_host_without_its_password() -> None:
    calls = topology.calls_queue("h1", "secret")

    assert re.fullmatch(r"lxd_worker\.h1\.[0-9a-f]{32}\.calls", calls)
    assert calls != topology.calls_queue("h1", "other")
    assert calls.split(".")[2] != topology.calls_queue("h2", "secret").split(".")[2]


@pytest.mark.attack
def test_nobody_guesses_the_exchange_of_a_host_without_its_password() -> None:
    exchange = topology.host_exchange("h1", "secret")

    assert re.fullmatch(r"fleet\.hosts\.h1\.[0-9a-f]{32}", exchange)
    assert topology.outcomes_queue(exchange).name == exchange.replace("hosts", "operations", 1)
    digests = [
        exchange.rpartition(".")[2],
        topology.host_exchange("h1", "other").rpartition(".")[2],
        topology.host_exchange("h2", "secret").rpartition(".")[2],
        topology.calls_queue("h1", "secret").split(".")[2],
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("host", ["h1", "a-b", "x" * 63])
def test_the_name_of_an_exchange_tells_its_host(host: str) -> None:
    assert topology.host_of(topology.host_exchange(host, "secret")) == host


@pytest.mark.attack
@pytest.mark.parametrize(
    "exchange",
    [
        "",
        "fleet.calls",
        "fleet.hosts.h1",
        "fleet.hosts.h1.",
        f"fleet.hosts..{'0' * 32}",
        f"fleet.hosts.h1.{'0' * 31}",
        f"fleet.hosts.h1.{'0' * 33}",
        f"fleet.hosts.h1.{'0' * 32}\n",
        f"fleet.hosts.h1.x.{'0' * 32}",
        f"fleet.hosts.h1.{'X' * 32}",
        f"lxd_worker.h1.{'0' * 32}.calls",
        f"x.fleet.hosts.h1.{'0' * 32}",
    ],
)
def test_any_other_name_is_no_hosts_exchange(exchange: str) -> None:
    assert topology.host_of(exchange) == ""


def test_a_password_is_read_from_an_address_as_it_was_drawn() -> None:
    assert topology.password_of("amqps://h1:a%2Fb%25@broker:5671/fleet") == "a/b%"
    assert topology.password_of("amqp://broker/") == ""


SIMILAR = [("h1", "h11"), ("h1", "xh1"), ("a-b", "a.b"), ("a-b", "axb"), ("h1", "H1")]


@pytest.mark.attack
@pytest.mark.parametrize(("host", "stranger"), SIMILAR)
def test_a_host_can_wish_for_its_own_queue_only(host: str, stranger: str) -> None:
    assert topology.is_calls_queue(topology.calls_queue(host, "secret"), host)
    for wish in (
        topology.calls_queue(stranger, "secret") if "." not in stranger else "",
        topology.stream_queue(host, "0" * 32),
        f"{topology.calls_queue(host, 'secret')}\n",
        "fleet.dead-letters",
        "",
    ):
        assert not topology.is_calls_queue(wish, host)
