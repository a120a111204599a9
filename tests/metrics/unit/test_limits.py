from __future__ import annotations

import pytest

from services.metrics.sampler.limits import allowed_cpus, allowed_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("config", "cpus"),
    [
        ({}, 4),
        ({"limits.cpu": "2"}, 2),
        ({"limits.cpu": "8"}, 4),  # LXD takes it and gives what the host has
        ({"limits.cpu": "0-2"}, 3),
        ({"limits.cpu": "1,3"}, 2),
        ({"limits.cpu": "0-1,1,3"}, 3),
        ({"limits.cpu": "2-2"}, 1),
        ({"limits.cpu.allowance": "25ms/100ms"}, 0.25),
        ({"limits.cpu.allowance": "300ms/100ms"}, 3),
        ({"limits.cpu": "2", "limits.cpu.allowance": "50ms/100ms"}, 0.5),
        ({"limits.cpu": "1", "limits.cpu.allowance": "800ms/100ms"}, 1),
        ({"limits.cpu.allowance": "50%"}, 4),  # soft: holds only while others want the CPU too
        ({"limits.cpu": "many"}, None),
        ({"limits.cpu": "0"}, None),
        ({"limits.cpu": "3-1"}, None),
        ({"limits.cpu.allowance": "25ms/0ms"}, None),
        ({"limits.cpu.allowance": "0ms/100ms"}, None),
        ({"limits.cpu.allowance": f"{'9' * 5000}ms/1ms"}, 4),
    ],
)
def test_a_container_may_use_what_its_limits_leave_of_the_host(
    config: dict[str, str], cpus: float | None
) -> None:
    assert allowed_cpus("container", config, host_cpus=4) == cpus


@pytest.mark.parametrize(
    ("config", "cpus"),
    [
        ({}, 1),
        ({"limits.cpu": "3"}, 3),
        ({"limits.cpu": "16"}, 4),
        ({"limits.cpu": "2", "limits.cpu.allowance": "50ms/100ms"}, 2),
    ],
)
def test_a_virtual_machine_has_one_cpu_unless_told_otherwise(
    config: dict[str, str], cpus: float
) -> None:
    assert allowed_cpus("virtual-machine", config, host_cpus=4) == cpus


@pytest.mark.parametrize(
    ("kind", "config", "memory"),
    [
        ("container", {}, 8 * GIB),
        ("container", {"limits.memory": "512MiB"}, 512 << 20),
        ("container", {"limits.memory": "1GB"}, 10**9),
        ("container", {"limits.memory": "25%"}, 2 * GIB),
        ("virtual-machine", {}, GIB),
        ("virtual-machine", {"limits.memory": "4GiB"}, 4 * GIB),
    ],
)
def test_memory_without_a_limit_is_the_host_s_or_lxd_s_default(
    kind: str, config: dict[str, str], memory: int
) -> None:
    assert allowed_memory(kind, config, host_memory=8 * GIB) == memory
