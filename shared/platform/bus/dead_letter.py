"""What a dead letter holds of an unreadable message, and how many there are of each host."""

from __future__ import annotations

import hashlib

# Enough to identify it; the digest shows whether it is always the same.
BODY_BYTES = 4096
# Per host. An incompatible release shows in the first messages.
PER_SECOND, AT_ONCE = 1.0, 10.0
# Of the reason, which may quote the message.
LONGEST_REASON = 500


def dead_letter_headers(key: str, body: bytes, reason: str) -> dict[str, str | int]:
    """Return the headers of the dead letter for a message with this routing key and body."""
    return {
        "fleet-reason": reason[:LONGEST_REASON],
        "fleet-key": key,
        "fleet-size": len(body),
        "fleet-sha256": hashlib.sha256(body).hexdigest(),
    }
