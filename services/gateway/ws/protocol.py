"""The requests of the change stream, in messages and in the query string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from services.gateway.free_text import RULE, has_control_characters
from shared.contracts.codec import UNREADABLE
from shared.contracts.errors import InvalidInput

# The figures of how many instances one subscription may name.
MOST_KEYS = 500

Topic = Literal["instances", "hosts", "operations", "snapshots", "usage"]


class TopicFilter(msgspec.Struct, frozen=True):
    """A part of a topic; None: any. The topic `hosts` is filtered by `host` only."""

    topic: Topic
    host: str | None = None
    name: str | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        """Refuse control characters, and filters that could never match."""
        refuse_control_characters(host=self.host, name=self.name, project=self.project)
        if self.topic != "hosts":
            return
        for field in ("name", "project"):
            if getattr(self, field) is not None:
                raise InvalidInput(field, "stream_hosts_have_no_name")

    def includes(self, host: str, name: str, project: str) -> bool:
        """Whether what is of this host, name and project is part of it."""
        return (
            self.host in {None, host}
            and self.name in {None, name}
            and self.project in {None, project}
        )

    @property
    def topic_filter(self) -> TopicFilter:
        """The filter alone, without the rest of the request."""
        return TopicFilter(self.topic, self.host, self.name, self.project)


class Subscribe(TopicFilter, frozen=True, tag="subscribe", forbid_unknown_fields=True):
    """Subscribe to a filter; `after` is the token of the position to resume from.

    `keys` are instances whose figures `usage` is to tell, as `host/project/name`; empty: those of
    the host.
    """

    after: str | None = None
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse invalid tokens and filters."""
        super().__post_init__()
        refuse_control_characters(after=self.after, keys="".join(self.keys))
        if self.topic == "usage":
            self._require_names()
        elif self.keys:
            raise InvalidInput("keys", "stream_keys_of_usage")

    def _require_names(self) -> None:
        if not self.keys and self.host is None:
            raise InvalidInput("keys", "stream_usage_of_what")
        if len(self.keys) > MOST_KEYS or any(key.count("/") != 2 for key in self.keys):
            raise InvalidInput("keys", "stream_keys")


class Unsubscribe(TopicFilter, frozen=True, tag="unsubscribe", forbid_unknown_fields=True):
    """Unsubscribe from a filter."""


def refuse_control_characters(**texts: str | None) -> None:
    """Raise InvalidInput for the first text with control characters; None is no text."""
    for field, text in texts.items():
        if text is not None and has_control_characters(text):
            raise InvalidInput(field, RULE)


def decode_message(text: str | bytes) -> Subscribe | Unsubscribe:
    """Decode the request of a message; raise InvalidInput."""
    try:
        return msgspec.json.decode(text, type=Subscribe | Unsubscribe)
    except UNREADABLE:
        raise InvalidInput("message", "stream_message") from None


def parse_query(query: Mapping[str, str]) -> Subscribe | None:
    """Parse the request of a query string, None if there is none; raise InvalidInput."""
    if "topic" not in query:
        return None
    try:
        return msgspec.convert({**query, "type": "subscribe"}, Subscribe)
    except msgspec.ValidationError:
        raise InvalidInput("query", "stream_message") from None
