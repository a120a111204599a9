"""LXD's refusals: an error body where it answers at once, a failed operation where it does not."""

from __future__ import annotations

import re

ALREADY_EXISTS = (
    "Failed creating instance record: Add instance info to the database: "
    'This "instances" entry already exists'
)
ALREADY_RUNNING = "The instance is already running"
ALREADY_STOPPED = "The instance is already stopped"
CONTAINER_NOT_RUNNING = "The container isn't running"
CONTAINER_FROZEN = "The container is already frozen"
CONTAINER_RUNNING = "The container is already running"
GUEST_DID_NOT_STOP = (
    'Failed shutting down instance, status is "Running": shutting down the container failed'
)


class Refused(Exception):
    """LXD says no; `status` is the HTTP status, which inside an operation is always 400."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


def not_found(what: str) -> Refused:
    """Return the refusal for something that does not exist."""
    return Refused(f"{what} not found", 404)


def check_name(name: str) -> None:
    """Refuse a name that breaks LXD's rules, with LXD's words for the first rule it breaks."""
    rules = {
        "Name must be 1-63 characters long": 1 <= len(name) <= 63,
        'Name must not start with "-" character': not name.startswith("-"),
        "Name must not start with a number": not name[:1].isdigit(),
        'Name must not end with "-" character': not name.endswith("-"),
        "Name can only contain alphanumeric and hyphen characters": re.fullmatch(
            "[A-Za-z0-9-]*", name
        ),
    }
    for rule, kept in rules.items():
        if not kept:
            raise Refused(f"Invalid instance name: {rule}")
