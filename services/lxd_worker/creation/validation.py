"""What an order for a new instance may say; the rest of it is up to the host and its LXD."""

from __future__ import annotations

import re

from services.lxd_worker.creation.cloud_init import check
from services.lxd_worker.instances.validation import check_labels, check_limits
from shared.contracts.changes import NewInstance
from shared.contracts.errors import InvalidInput
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE
from shared.contracts.operations import Submission

LEAST_MEMORY = 1 << 20
LEAST_DISK = 1 << 20

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def checked(submission: Submission) -> NewInstance:
    """Return what is wanted; raises InvalidInput for what cannot be made as it is written."""
    wanted = submission.arguments.create
    if wanted is None:
        raise InvalidInput("create", "what to create")
    for field, right, rule in _rules(submission, wanted):
        if not right:
            raise InvalidInput(field, rule)
    check_labels(wanted.labels)
    check_limits(wanted.limits)
    check(wanted.ssh_keys, submission.secrets)
    return wanted


def _rules(submission: Submission, wanted: NewInstance) -> list[tuple[str, bool, str]]:
    image = wanted.image
    is_container = wanted.type == CONTAINER
    has_proxies = wanted.ssh or wanted.ports > 0
    return [
        ("instance", not submission.instance.endswith("-"), "a letter or digit at the end"),
        ("uuid", bool(_UUID.fullmatch(submission.uuid)), "a UUID in lower case"),
        ("type", wanted.type in (CONTAINER, VIRTUAL_MACHINE), f"{CONTAINER} or {VIRTUAL_MACHINE}"),
        ("cpu", wanted.cpu >= 1, "at least 1"),
        ("memory", wanted.memory >= LEAST_MEMORY, f"at least {LEAST_MEMORY} bytes"),
        ("disk", wanted.disk >= LEAST_DISK, f"at least {LEAST_DISK} bytes"),
        ("image", bool(image.alias) != bool(image.fingerprint), "one of alias and fingerprint"),
        # LXD forwards to a virtual machine by NAT rules only, which take an address that is fixed.
        ("processes", not wanted.limits.processes or is_container, "for containers only"),
        ("ports", not has_proxies or is_container, "for containers only"),
    ]
