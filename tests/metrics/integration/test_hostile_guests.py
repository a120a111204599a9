"""Whatever LXD and the kernel say of a guest: the sample is read, and its neighbours' are right.

`evil` is a container whose root writes what it likes, or a virtual machine whose agent does; `web`
is a container beside it and `db` a virtual machine.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.metrics.sampler.cgroups.open_cgroups import CgroupFiles
from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel_counters import Details
from services.metrics.sampler.lxd_instances import InstanceWithState, instance_in
from services.metrics.sampler.lxd_metrics import details_in
from services.metrics.sampler.proc_net_dev import ProcNetDev
from services.metrics.sampler.reading import Identity, Pools
from services.metrics.sampler.sampling import Sampling, Sources
from services.metrics.sampler.sanitize import MOST_INSTANCE_BYTES, Dropped
from shared.contracts.codec import decode, encode
from shared.contracts.events import Sampled
from shared.contracts.samples import InstanceSample
from shared.lxd.decoding import entries
from tests.support.sampler import HOST, POOLS

pytestmark = pytest.mark.attack

WEB, DB, EVIL = "web", "db", "evil"
PIDS = {WEB: 42, DB: 77, EVIL: 43}
ROUNDS, INTERVAL_S = 3, 10.0

CPU_STAT = b"usage_usec 8000000\nuser_usec 5000000\nsystem_usec 3000000\n"
CGROUP_FILES = {
    "cpu.stat": CPU_STAT,
    "memory.current": b"5120000\n",
    "memory.stat": b"anon 4000000\nfile 1000000\n",
    "memory.swap.current": b"16384\n",
    "pids.current": b"13\n",
    "io.stat": b"9999:0 rbytes=300 wbytes=400 rios=5 wios=6 dbytes=0 dios=0\n",
}
NET_DEV = b"Inter-|   Receive\n face |bytes\n"
VETH = b"veth-web: 10 1 0 0 0 0 0 0 1000 5 0 0 0 0 0 0\n"
DB_METRICS = """\
lxd_memory_RSS_bytes{name="db",project="default",type="virtual-machine"} 4096
lxd_disk_read_bytes_total{device="vda",name="db",project="default",type="virtual-machine"} 7
lxd_disk_written_bytes_total{device="vda",name="db",project="default",type="virtual-machine"} 8
"""


def state(**changes: object) -> dict[str, object]:
    counters = {"bytes_received": 5, "bytes_sent": 6}
    address = {"family": "inet", "address": "10.0.0.9", "scope": "global"}
    return {
        "processes": 3,
        "cpu": {"usage": 5_000_000_000},
        "memory": {"usage": 123},
        "disk": {"root": {"usage": 99}},
        "network": {"eth0": {"addresses": [address], "counters": counters}},
    } | changes


def listed(name: str, its_state: Any) -> dict[str, object]:
    if isinstance(its_state, dict):
        its_state = its_state | {"pid": PIDS[name]}
    return {
        "name": name,
        "type": "virtual-machine" if name == DB else "container",
        "project": "default",
        "state": its_state,
        "expanded_config": {
            "volatile.uuid": f"u-{name}",
            "volatile.eth0.host_name": "veth-web" if name == WEB else "",
        },
        "expanded_devices": {"eth0": {"type": "nic"}, "root": {"type": "disk", "path": "/"}},
    }


class TextLxd:
    """An LXD that answers with these texts."""

    def __init__(self, evil: bytes, metrics: str) -> None:
        well = [json.dumps(listed(name, state())).encode() for name in (WEB, DB)]
        self.answer = b"[%s,%s,%s]" % (well[0], evil, well[1])
        self.metrics = metrics

    def instances(self) -> Sequence[InstanceWithState]:
        return [instance_in(entry) for entry in entries(self.answer)]

    def instance(self, project: str, name: str) -> InstanceWithState | None:
        raise AssertionError((project, name))

    def details(self, dropped: Dropped) -> Mapping[Identity, Details]:
        return details_in(self.metrics, dropped)

    def pools(self) -> Pools:
        return POOLS


def samples(
    evil: bytes, *, metrics: str = "", files: Mapping[str, bytes] | None = None
) -> dict[str, InstanceSample]:
    """Return the last sample of each instance as a gateway reads it.

    `files` are those of evil's cgroup, and its `net/dev` and `cgroup` in /proc.
    """
    with tempfile.TemporaryDirectory() as directory:
        return _samples(Path(directory), TextLxd(evil, DB_METRICS + metrics), files or {})


def _samples(root: Path, lxd: TextLxd, files: Mapping[str, bytes]) -> dict[str, InstanceSample]:
    lay_out(root, files)
    now_s = 1000.0
    taken: list[Sampled] = []
    cgroups = CgroupFiles({"9999:0": "vda"}.get, lambda: now_s, root / "proc")
    sources = Sources(
        cgroups=cgroups,
        network=ProcNetDev(root / "proc"),
        host=lambda: HOST,
        process_age=lambda _: 20.0,
        clock=lambda: now_s,
        now=lambda: "2026-11-20T10:00:00Z",
    )
    cache = InstanceCache(lxd, lambda: HOST, lambda: now_s, InstanceErrors(), period_s=INTERVAL_S)
    sampling = Sampling(sources, cache, taken.append, epoch=7, interval_s=INTERVAL_S)
    for _ in range(ROUNDS):
        cache.refresh_if_due()
        sampling.take()
        now_s += INTERVAL_S
    cgroups.forget_others([])
    bodies = [encode(each) for each in taken]
    assert len(bodies) == ROUNDS
    return {each.name: each for each in [decode(Sampled, body) for body in bodies][-1].instances}


def lay_out(root: Path, files: Mapping[str, bytes]) -> None:
    there = {
        "proc/self/mountinfo": b"30 23 0:26 / %s rw,nosuid - cgroup2 cgroup2 rw\n" % bytes(root),
        "proc/net/dev": NET_DEV + VETH,
        "proc/43/net/dev": NET_DEV,
        "proc/43/cgroup": b"0::/lxc.payload.evil\n",
        "proc/42/cgroup": b"0::/lxc.payload.web\n",
    }
    for name in (WEB, EVIL):
        there |= {f"lxc.payload.{name}/{file}": text for file, text in CGROUP_FILES.items()}
    for name, content in (there | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def of_evil(**changes: object) -> bytes:
    return json.dumps(listed(EVIL, state(**changes))).encode()


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, InstanceSample]:
    return samples(of_evil())


def assert_only_evil_is_hurt(
    got: dict[str, InstanceSample], undisturbed: dict[str, InstanceSample]
) -> None:
    assert (got[WEB], got[DB]) == (undisturbed[WEB], undisturbed[DB])
    assert got.keys() <= {WEB, DB, EVIL}
    if EVIL in got:
        assert len(encode(got[EVIL])) <= MOST_INSTANCE_BYTES


NUMBERS = st.integers(-(2**80), 2**80) | st.sampled_from(
    [-1, 2**63 - 1, 2**63, 2**64 - 1, 18_000_000_000_000_000_000, 1.8e19, -0.5]
)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=80) | st.sampled_from(
    ["x" * 300, "\udcff" * 64, "\U0001f600" * 64, "\\" * 64, "\x1c"]
)
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats() | TEXTS
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=6
)


def like(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return dictionaries in which some of these are there, now and then something else."""
    return st.fixed_dictionaries({}, optional=parts) | ANYTHING


COUNTERS = like(
    **dict.fromkeys(
        (
            "bytes_received",
            "bytes_sent",
            "packets_received",
            "errors_received",
            "packets_dropped_inbound",
        ),
        NUMBERS | LEAVES,
    )
)
ADDRESSES = st.lists(like(family=TEXTS, address=TEXTS, scope=TEXTS), max_size=100)
INTERFACES = like(
    type=TEXTS,
    addresses=ADDRESSES | ANYTHING,
    counters=COUNTERS,
    hwaddr=TEXTS | ANYTHING,
    host_name=TEXTS | ANYTHING,
)
STATES = like(
    processes=NUMBERS | ANYTHING,
    cpu=like(usage=NUMBERS | ANYTHING),
    memory=like(usage=NUMBERS | ANYTHING),
    disk=st.dictionaries(TEXTS, like(usage=NUMBERS, total=NUMBERS), max_size=3) | ANYTHING,
    network=st.dictionaries(TEXTS, INTERFACES, max_size=12) | ANYTHING,
)
SLOWLY = settings(suppress_health_check=[HealthCheck.too_slow])


def test_the_neighbours_are_measured_in_full(undisturbed: dict[str, InstanceSample]) -> None:
    web, db = undisturbed[WEB], undisturbed[DB]

    assert (web.cpu_ns, web.memory_used, web.processes) == (8_000_000_000, 5_120_000, 13)
    assert (web.network_rx, web.network_tx, web.network_rx_rate) == (1000, 10, 0.0)
    assert web.block_devices is not None
    assert (db.memory_used, db.network_rx, db.disk_used) == (123, 5, 99)
    assert db.memory is not None
    assert db.memory.rss == 4096


@SLOWLY
@given(its_state=STATES)
def test_whatever_lxd_says_of_an_instance_its_neighbours_are_measured(
    undisturbed: dict[str, InstanceSample], its_state: Any
) -> None:
    got = samples(json.dumps(listed(EVIL, its_state)).encode())

    assert_only_evil_is_hurt(got, undisturbed)


@SLOWLY
@given(entry=like(name=TEXTS, type=TEXTS, project=TEXTS, state=STATES, expanded_devices=ANYTHING))
def test_whatever_an_instance_is_its_neighbours_are_measured(
    undisturbed: dict[str, InstanceSample], entry: Any
) -> None:
    got = samples(json.dumps(entry).encode())

    assert (got[WEB], got[DB]) == (undisturbed[WEB], undisturbed[DB])


LABELS = st.text(st.characters(exclude_characters="\n"), max_size=80) | st.sampled_from(
    ['x",name="db', 'x",name="db",project="default",type="virtual-machine"} 9 #', "\\", '"', "}"]
)
VALUES = st.floats().map(str) | NUMBERS.map(str) | TEXTS
METRICS = st.lists(
    st.builds(
        'lxd_{}{{device="{}",mode="{}",name="evil",project="default",type="vm"}} {}\n'.format,
        st.sampled_from(
            ["cpu_seconds_total", "memory_RSS_bytes", "disk_read_bytes_total", "other"]
        ),
        LABELS,
        LABELS,
        VALUES.filter(lambda value: "\n" not in value),
    ),
    max_size=20,
).map("".join)


@SLOWLY
@given(metrics=METRICS)
def test_whatever_lxds_metrics_say_of_an_instance_its_neighbours_are_measured(
    undisturbed: dict[str, InstanceSample], metrics: str
) -> None:
    evil_as_a_machine = json.dumps(listed(EVIL, state()) | {"type": "virtual-machine"})

    got = samples(evil_as_a_machine.encode(), metrics=metrics)

    assert_only_evil_is_hurt(got, undisturbed)


NAMES = st.binary(max_size=15).filter(lambda name: not set(name) & set(b"\n/: "))
LINES = st.lists(
    st.builds(
        lambda name, numbers: name + b": " + b" ".join(numbers) + b"\n",
        NAMES,
        st.lists(st.integers(0, 2**66).map(lambda number: b"%d" % number) | NAMES, max_size=17),
    ),
    max_size=80,
).map(b"".join)
WRITTEN = NUMBERS.map(lambda number: str(number).encode())
CONTENTS = st.one_of(
    st.binary(max_size=60),
    WRITTEN,
    st.sampled_from([b"9" * 4000, b"9" * 5000, b"nan", b"9999:0 rbytes=1", b"usage_usec"]),
    st.builds(b"usage_usec %b\nuser_usec %b\nsystem_usec %b\n".__mod__, st.tuples(*[WRITTEN] * 3)),
    st.builds(b"anon %b\nfile %b\n".__mod__, st.tuples(*[WRITTEN] * 2)),
    st.builds(b"9999:0 rbytes=%b wbytes=%b rios=%b wios=%b\n".__mod__, st.tuples(*[WRITTEN] * 4)),
)


@SLOWLY
@given(
    cgroup=st.binary(max_size=40).filter(lambda name: b"\n" not in name),
    net_dev=LINES | st.binary(max_size=400),
    contents=st.fixed_dictionaries({}, optional=dict.fromkeys(CGROUP_FILES, CONTENTS)),
)
def test_whatever_the_kernel_says_of_an_instance_its_neighbours_are_measured(
    undisturbed: dict[str, InstanceSample],
    cgroup: bytes,
    net_dev: bytes,
    contents: dict[str, bytes],
) -> None:
    files = {f"lxc.payload.evil/{name}": content for name, content in contents.items()}
    files |= {
        "proc/43/cgroup": b"0::/lxc.payload.evil/%s\n" % cgroup,
        "proc/43/net/dev": NET_DEV + net_dev,
    }

    got = samples(of_evil(), files=files)

    assert_only_evil_is_hurt(got, undisturbed)
