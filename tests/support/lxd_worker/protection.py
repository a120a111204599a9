"""What a host reports of its instances' protection."""

from __future__ import annotations

from shared.contracts.events import ProtectionReported
from shared.contracts.policies import Protection
from tests.support.lxd_worker.policies import PolicyBench


def reported(host: PolicyBench) -> ProtectionReported:
    """Have the protection reported, and return it."""
    host.lxd.memory = {("default", one.name): one for one in host.lxd.instances()}
    host.policies.protection.request()
    host.policies.protection.publish()
    host.lxd.memory = None
    report = host.wire.sent[-1]
    assert isinstance(report, ProtectionReported)
    return report


def protection_of(host: PolicyBench, name: str = "web") -> Protection:
    """Return how an instance is protected, as it is reported."""
    return next(one for one in reported(host).instances if one.name == name)
