"""A sampler as a process, and gateways of an earlier release that read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue

from shared.contracts.codec import decode
from shared.contracts.events import SampledV1
from shared.platform.bus import topology
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.broker import Vhost
from tests.support.polling import wait_until
from tests.support.sampler_process import HOST, Reader, Sampler

FIRST = f"{HOST}.sampler.sample"
# As `permissions` of an earlier release had it.
EARLIER_RIGHTS = (
    rf"^{HOST}\.(reply\.[A-Za-z0-9]{{1,64}}|(worker|sampler)\.[a-z-]{{1,32}}|out\.[0-9a-f]{{32}})$"
)


@pytest.fixture
def sampler(vhost: Vhost, tmp_path: Path) -> Iterator[Sampler]:
    """A sampler of one running instance, with the rights that its user has when it starts."""
    with LxdDouble(tmp_path / "lxd.socket") as double:
        double.add(DoubledInstance("web", status="Running", busy_cpus=0.5))
        sampler = Sampler(vhost.host_uri(HOST), double.socket, tmp_path)
        yield sampler
        sampler.kill()


@pytest.fixture
def old_gateway(vhost: Vhost) -> Iterator[Queue]:
    """The queue of a gateway of an earlier release, bound to all keys of three words."""
    exchange = vhost.host_exchange(HOST)
    topology.declare(vhost.uri, [exchange])
    with Connection(vhost.uri) as connection:
        queue = Queue(
            exchange=Exchange(exchange, type="topic", durable=True),
            routing_key=f"{HOST}.sampler.*",
            exclusive=True,
            auto_delete=True,
        )(connection.channel())
        queue.declare()
        yield queue


def test_a_gateway_of_an_earlier_release_gets_every_sample_and_nothing_that_it_cannot_read(
    old_gateway: Queue, reader: Reader, sampler: Sampler
) -> None:
    messages = [
        wait_until(lambda: old_gateway.get(no_ack=True), within_s=15, every_s=0.02)
        for _ in range(3)
    ]

    samples = [decode(SampledV1, message.body) for message in messages]
    assert {message.delivery_info["routing_key"] for message in messages} == {FIRST}
    assert [each.sequence - samples[0].sequence for each in samples] == [0, 1, 2]
    assert [each.name for each in samples[0].instances] == ["web"]
    assert reader.next().instances[0].name == "web"


def test_without_the_right_to_the_present_form_samples_come_in_the_first(
    vhost: Vhost, old_gateway: Queue, tmp_path: Path
) -> None:
    uri = vhost.host_uri(HOST)
    rights = {"exchange": vhost.host_exchange(HOST), "write": EARLIER_RIGHTS, "read": "^$"}
    user = f"{vhost.name}-{HOST}"
    answer = vhost.broker.http.put(f"/topic-permissions/{vhost.name}/{user}", json=rights)
    answer.raise_for_status()

    with LxdDouble(tmp_path / "lxd.socket") as double:
        double.add(DoubledInstance("web", status="Running", busy_cpus=0.5))
        sampler = Sampler(uri, double.socket, tmp_path)
        try:
            samples = [
                decode(
                    SampledV1,
                    wait_until(lambda: old_gateway.get(no_ack=True), within_s=15).body,
                )
                for _ in range(3)
            ]
        finally:
            sampler.kill()

    assert samples[2].sequence - samples[1].sequence == 1
    assert sampler.log.count("renew it with add_user") == 1
