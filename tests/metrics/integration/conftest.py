"""A sampler as a process, between an LXD and a real broker, and who reads its samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import Vhost
from tests.support.lxd import Instances
from tests.support.sampler_process import HOST, Reader, Sampler, reader_at


@pytest.fixture
def reader(vhost: Vhost) -> Iterator[Reader]:
    """A gateway's ear for samples."""
    with reader_at(vhost) as reader:
        yield reader


@pytest.fixture
def sampler(vhost: Vhost, instances: Instances, tmp_path: Path) -> Iterator[Sampler]:
    """A sampler of a real LXD that takes a sample each second and asks LXD once a minute."""
    sampler = Sampler(vhost.host_uri(HOST), instances.lxd.socket, tmp_path)
    yield sampler
    sampler.kill()
