"""The ETag of an instance."""

from __future__ import annotations

import hashlib

from msgspec.structs import astuple

from shared.contracts.instance_config import NO_LIMITS
from shared.contracts.instances import Instance


def etag(instance: Instance) -> str:
    """Return a digest of all of an instance's configuration that a caller can change.

    Gateway and worker both compute it, so that an update can depend on what its caller read.
    """
    settings = (
        instance.uuid,
        instance.name,
        instance.display_name,
        instance.description,
        instance.cpu_limit,
        instance.memory_limit,
        instance.root_size,
        instance.auto_start,
        sorted(instance.labels.items()),
        [
            (proxy.device, proxy.listen, proxy.connect, *sorted(proxy.options.items()))
            for proxy in instance.proxies
        ],
        # Workers of an earlier release neither report limits nor include them.
        *([astuple(instance.limits)] if instance.limits != NO_LIMITS else []),
    )
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:32]
