"""The sampler as a process, between the double of LXD and a real broker with a host's rights."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.broker import OwnBroker, Vhost
from tests.support.daemons import ROOT
from tests.support.line import Line
from tests.support.sampler_process import HOST, Reader, Sampler, reader_at


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        double.add(DoubledInstance("web", status="Running", busy_cpus=0.5))
        yield double


@pytest.fixture
def start(double: LxdDouble, tmp_path: Path) -> Iterator[Callable[[str], Sampler]]:
    started: list[Sampler] = []

    def start(uri: str) -> Sampler:
        started.append(Sampler(uri, double.socket, tmp_path))
        return started[-1]

    yield start
    for sampler in started:
        sampler.kill()


def test_samples_come_at_the_interval_with_the_rights_of_a_host(
    vhost: Vhost, reader: Reader, start: Callable[[str], Sampler]
) -> None:
    start(vhost.host_uri(HOST))

    samples = [reader.next()]
    began = time.monotonic()
    samples += [reader.next() for _ in range(3)]

    assert 2.2 < time.monotonic() - began < 6
    assert len({each.epoch for each in samples}) == 1
    assert [each.sequence for each in samples] == list(
        range(samples[0].sequence, samples[0].sequence + 4)
    )
    cpus = samples[-1].host.cpu_cores
    [web] = samples[-1].instances
    assert web.name == "web"
    assert web.cpu_percent == pytest.approx(50 / cpus, rel=0.1)


def test_a_new_start_has_a_later_epoch(
    vhost: Vhost, reader: Reader, start: Callable[[str], Sampler]
) -> None:
    uri = vhost.host_uri(HOST)
    first = start(uri)
    before = reader.next()
    ended_with = first.stop()
    assert reader.nothing(for_s=0.2)

    start(uri)

    assert ended_with == 0
    assert reader.next().epoch > before.epoch


def test_no_samples_while_lxd_is_away_and_again_when_it_is_back(
    vhost: Vhost, reader: Reader, start: Callable[[str], Sampler], double: LxdDouble
) -> None:
    sampler = start(vhost.host_uri(HOST))
    reader.next()

    double.go_away()
    silent = reader.nothing(for_s=2.5)
    double.come_back()
    again = reader.next(within_s=3.0)

    assert silent
    assert [each.name for each in again.instances] == ["web"]
    assert sampler.log.count("LXD is away") == 1
    assert sampler.log.count("LXD is back") == 1


def test_a_slow_lxd_makes_rounds_fewer_and_never_two_at_once(
    vhost: Vhost, reader: Reader, start: Callable[[str], Sampler], double: LxdDouble
) -> None:
    start(vhost.host_uri(HOST))
    reader.next()
    double.faults.answer_delay_s = 1.4
    asked_before = len(double.requests)

    reader.next()
    began = time.monotonic()
    reader.next()
    reader.next()

    assert 3.2 < time.monotonic() - began < 8
    assert len(double.requests) - asked_before <= 4


def test_samples_go_on_after_the_line_to_the_broker_was_cut(
    vhost: Vhost,
    reader: Reader,
    start: Callable[[str], Sampler],
    line: Callable[[int], Line],
) -> None:
    port = vhost.broker.node.ports.amqp
    cuttable = line(port)
    sampler = start(vhost.host_uri(HOST).replace(f":{port}/", f":{cuttable.port}/"))
    before = reader.next()

    cuttable.cut()
    silent = reader.nothing(for_s=2.5)
    cuttable.mend()
    after = reader.next(within_s=4.0)

    assert silent
    assert after.epoch == before.epoch
    assert after.sequence > before.sequence + 1  # what was measured meanwhile is dropped
    assert sampler.process.poll() is None


def test_a_sampler_that_starts_before_its_broker_waits_for_it(
    own_broker: OwnBroker, start: Callable[[str], Sampler]
) -> None:
    uri = own_broker.host_uri(HOST)
    own_broker.stop()
    sampler = start(uri)
    time.sleep(2.0)
    alive = sampler.process.poll() is None

    own_broker.start()
    with reader_at(own_broker) as reader:
        sample = reader.next()

    assert alive
    assert [each.name for each in sample.instances] == ["web"]


def test_a_wrong_setting_ends_the_start_with_its_reason() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "services.metrics"],
        cwd=ROOT,
        env={"FLEET_SAMPLE_INTERVAL_S": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert ended.returncode == 2
    assert "FLEET_AMQP_URI is not set" in ended.stderr
    assert "FLEET_SAMPLE_INTERVAL_S" in ended.stderr
