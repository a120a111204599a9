"""The sampler as a process on a real LXD: what its events make it do, and what it leaves open."""

from __future__ import annotations

import time
from pathlib import Path

from shared.contracts.events import Sampled
from tests.support.broker import Vhost
from tests.support.lxd import Instances
from tests.support.lxd_project import Project
from tests.support.sampler_process import HOST, Reader, Sampler, sample_of


def has_address(sample: Sampled, name: str) -> bool:
    found = sample_of(sample, name)
    return found is not None and any(each.scope == "global" for each in found.addresses)


def cgroup_files(sampler: Sampler, prefix: str) -> int:
    links = list(Path(f"/proc/{sampler.process.pid}/fd").iterdir())
    targets = [str(link.readlink()) for link in links if link.is_symlink()]
    return sum(f"lxc.payload.{prefix}" in target for target in targets)


def test_what_is_started_is_measured_soon_and_has_its_address_long_before_a_minute_has_passed(
    reader: Reader, sampler: Sampler, instances: Instances
) -> None:
    reader.next()

    name = instances.launch()
    began = time.monotonic()
    measured = reader.until(lambda sample: sample_of(sample, name) is not None)
    reader.until(lambda sample: has_address(sample, name))

    assert measured.source == "cgroup"
    assert time.monotonic() - began < 30
    assert sampler.log.count("the source of samples is") <= 2


def test_an_instance_that_comes_and_goes_is_measured_while_it_runs_and_leaves_nothing_open(
    reader: Reader, sampler: Sampler, instances: Instances
) -> None:
    name = instances.launch()
    first = sample_of(reader.until(lambda sample: sample_of(sample, name) is not None), name)

    instances.set_state(name, "restart", force=True)
    reader.nothing(for_s=1.5)
    second = sample_of(reader.until(lambda sample: sample_of(sample, name) is not None), name)
    while_running = cgroup_files(sampler, instances.prefix)
    instances.set_state(name, "stop", force=True)
    reader.until(lambda sample: sample_of(sample, name) is None)
    reader.nothing(for_s=2.5)

    assert first is not None
    assert second is not None
    assert first.uuid == second.uuid
    assert while_running > 0
    assert cgroup_files(sampler, instances.prefix) == 0


def test_in_another_pid_namespace_it_measures_by_lxd_and_says_so(
    vhost: Vhost, reader: Reader, instances: Instances, tmp_path: Path
) -> None:
    name = instances.launch()
    apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

    sampler = Sampler(vhost.host_uri(HOST), instances.lxd.socket, tmp_path, within=apart)
    sample = reader.next()
    sampler.kill()

    assert sample.source == "lxd"
    assert sample_of(sample, name) is not None
    assert sampler.log.count("the source of samples is lxd") == 1


def test_instances_of_other_projects_are_measured_too(
    reader: Reader, sampler: Sampler, instances: Instances, lxd_project: Project
) -> None:
    name = instances.name("other")
    reader.next()

    lxd_project.create(name)
    lxd_project.set_state(name, "start")
    sample = reader.until(lambda sample: sample_of(sample, name) is not None)

    measured = sample_of(sample, name)
    assert measured is not None
    assert measured.project == lxd_project.name
    assert measured.memory_used
    assert sample.source == "cgroup"
