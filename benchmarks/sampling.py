"""Measure what one sampling round costs the sampler and LXD, on real containers.

Four ways in one run: pylxd's objects, one request for all (`recursion=2`), the sampler with LXD
only, and the sampler with open cgroup files. The last two are whole rounds of the sampler, up to
the encoded message; its clock advances by the interval each time, so that the mean includes what it
does in some rounds only. LXD's CPU is that of a daemon of its own, including its child processes.

Caveat: a container's load makes no difference here, but its number of interfaces and disks does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import pylxd

from benchmarks.costs import measure_cpu
from benchmarks.figures import Figure, at_least, show
from benchmarks.ground import Loaded, loaded_lxd
from benchmarks.scale import from_environment
from services.metrics.sampler.cgroups.open_cgroups import CgroupFiles, allow_many_files
from services.metrics.sampler.disks import RealDisks
from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel import process_age_s, read_host
from services.metrics.sampler.lxd_source import LxdSource
from services.metrics.sampler.proc_net_dev import ProcNetDev
from services.metrics.sampler.sampling import Sampling, Sources
from shared.contracts.codec import encode
from shared.contracts.events import Sampled
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from tests.support.lxd import Lxd

INTERVAL_S, PERIOD_S = 5.0, 60.0
# Rounds of the cheap way, and of the others, for each slow round of other benchmarks.
CHEAP_ROUNDS, DEAR_ROUNDS = 25, 0.5


@dataclass(frozen=True, slots=True)
class Cost:
    """The mean of a round, in milliseconds."""

    wall_ms: float
    own_cpu_ms: float
    lxd_cpu_ms: float

    @property
    def cpu_ms(self) -> float:
        return self.own_cpu_ms + self.lxd_cpu_ms

    def __str__(self) -> str:
        return (
            f"{self.wall_ms:.1f} ms, CPU {self.own_cpu_ms:.1f} ms"
            f" and {self.lxd_cpu_ms:.1f} ms of LXD's"
        )


def figures(loaded: Loaded) -> Iterator[Figure]:
    """Measure the four ways."""
    lxd, count = loaded.lxd, loaded.scale.instances
    allow_many_files()
    with tempfile.TemporaryDirectory() as nothing:
        by_lxd = _sampler_round(lxd, "lxd", count, Path(nothing))
        by_cgroup = _sampler_round(lxd, "cgroup", count, Path("/proc"))
        dear = max(1, round(DEAR_ROUNDS * loaded.scale.slow_rounds))
        panel = _cost(loaded.process, _pylxd_round(lxd), dear)
        by_request = _cost(loaded.process, _over_socket(lxd).instances, dear)
        without_cgroups = _cost(loaded.process, by_lxd, dear)
        cheap = _cost(loaded.process, by_cgroup, CHEAP_ROUNDS * loaded.scale.slow_rounds)
    times = by_request.cpu_ms / cheap.cpu_ms
    what = f"a round of sampling {count} instances"
    measured = f"{cheap}: {times:.0f} times less CPU"
    yield Figure(what, measured, f"`recursion=2`: {by_request}", times, at_least(100, "times less"))
    yield Figure(what, str(cheap), f"pylxd `all()`, `state()` of each: {panel}")
    yield Figure(
        f"{what}, where there is LXD only", str(without_cgroups), f"`recursion=2`: {by_request}"
    )
    rounds = PERIOD_S / INTERVAL_S
    yield Figure(
        f"a minute of rounds every {INTERVAL_S:g} s, one question to LXD among them",
        f"CPU {rounds * cheap.cpu_ms + by_request.cpu_ms:.0f} ms",
        f"`recursion=2` each time: CPU {rounds * by_request.cpu_ms:.0f} ms",
    )


def _cost(lxd: psutil.Process, one_round: Callable[[], object], rounds: int) -> Cost:
    """Measure after a first round, which opens files and connections."""
    one_round()
    with measure_cpu(psutil.Process()) as own, measure_cpu(lxd) as lxds:
        for _ in range(rounds):
            one_round()
    return Cost(1000 * own.wall_s / rounds, own.cpu_ms / rounds, lxds.cpu_ms / rounds)


def _pylxd_round(lxd: Lxd) -> Callable[[], object]:
    client = pylxd.Client(endpoint=f"http+unix://{quote(str(lxd.socket), safe='')}")
    return lambda: [instance.state() for instance in client.instances.all()]


def _over_socket(lxd: Lxd) -> LxdSource:
    return LxdSource(LxdClient(lxd.socket, "bench", read_s=60.0), LxdScope())


def _sampler_round(lxd: Lxd, source: str, count: int, proc: Path) -> Callable[[], object]:
    """Return a round of the sampler with this `/proc`; its samples must be from `source`."""
    over_socket = _over_socket(lxd)
    now_s = 0.0

    def clock() -> float:
        return now_s

    sources = Sources(
        cgroups=CgroupFiles(RealDisks().name, clock, proc),
        network=ProcNetDev(),
        host=read_host,
        process_age=process_age_s,
        clock=clock,
        now=lambda: "2026-11-20T10:00:00Z",
    )

    def publish(sample: Sampled) -> None:
        assert (sample.source, len(sample.instances)) == (source, count)
        encode(sample)

    cache = InstanceCache(over_socket, read_host, clock, InstanceErrors(), period_s=PERIOD_S)
    sampling = Sampling(sources, cache, publish, epoch=1, interval_s=INTERVAL_S)

    def one_round() -> None:
        nonlocal now_s
        now_s += INTERVAL_S
        sampling.take()

    return one_round


if __name__ == "__main__":
    with loaded_lxd(from_environment()) as _loaded:
        show(figures(_loaded))
