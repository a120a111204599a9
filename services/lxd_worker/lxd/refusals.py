"""What LXD's no means: that it is busy for a moment, or that it will say no again."""

from __future__ import annotations

import re

from shared.contracts.bounds import clip
from shared.contracts.errors import FleetError, LxdBusy, LxdRefused

# So says LXD, and Incus, of an instance that it still starts, stops or restores, also by itself:
# after a failed start it tidies up for a second.
_BUSY = re.compile(r'busy running an? "?[\w -]+"? operation')


def refusal(reason: str) -> FleetError:
    """Return a refusal in LXD's words as the error that it is."""
    return (LxdBusy if _BUSY.search(reason) else LxdRefused)(clip(reason))
