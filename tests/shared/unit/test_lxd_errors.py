"""Which of LXD's refusals are for a moment only."""

from __future__ import annotations

import pytest

from shared.contracts.errors import FleetError, LxdBusy, LxdRefused
from shared.lxd.errors import to_refusal


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ('Instance is busy running a "stop" operation', LxdBusy),
        ("Instance is busy running a stop operation", LxdBusy),
        ('Failed to start: Instance is busy running an "update" operation', LxdBusy),
        ("The instance is already running", LxdRefused),
        ("Instance is busy", LxdRefused),
        ("", LxdRefused),
    ],
)
def test_only_an_instance_that_lxd_works_on_is_busy(reason: str, kind: type[FleetError]) -> None:
    found = to_refusal(reason)

    assert type(found) is kind
    assert found.values == (reason,)
