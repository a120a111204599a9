"""What a viewer of the stream may ask for, in its messages and in its address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from services.gateway.free_text import RULE, has_control_characters
from shared.contracts.codec import UNREADABLE
from shared.contracts.errors import InvalidInput

Topic = Literal["instances", "hosts", "operations"]


class TopicFilter(msgspec.Struct, frozen=True):
    """Which part of which topic; None: any. Hosts are told apart by `host` only."""

    topic: Topic
    host: str | None = None
    name: str | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no text may hold, and what could never show anything."""
        refuse_control_characters(host=self.host, name=self.name, project=self.project)
        if self.topic != "hosts":
            return
        for field in ("name", "project"):
            if getattr(self, field) is not None:
                raise InvalidInput(field, "stream_hosts_have_no_name")

    @property
    def wanted(self) -> TopicFilter:
        """What is wanted, and nothing else of the request."""
        return TopicFilter(self.topic, self.host, self.name, self.project)


class Subscribe(TopicFilter, frozen=True, tag="subscribe", forbid_unknown_fields=True):
    """Watch something; `after` is the token up to which it was watched before."""

    after: str | None = None

    def __post_init__(self) -> None:
        """Refuse a token that is none, and what else could never show anything."""
        super().__post_init__()
        refuse_control_characters(after=self.after)


class Unsubscribe(TopicFilter, frozen=True, tag="unsubscribe", forbid_unknown_fields=True):
    """Watch it no more."""


def refuse_control_characters(**texts: str | None) -> None:
    """Raise InvalidInput for the first text that holds one; None is no text."""
    for field, text in texts.items():
        if text is not None and has_control_characters(text):
            raise InvalidInput(field, RULE)


def decode_message(text: str | bytes) -> Subscribe | Unsubscribe:
    """Return the request of a message; raise InvalidInput."""
    try:
        return msgspec.json.decode(text, type=Subscribe | Unsubscribe)
    except UNREADABLE:
        raise InvalidInput("message", "stream_message") from None


def parse_query(query: Mapping[str, str]) -> Subscribe | None:
    """Return the request of an address, if it has one; raise InvalidInput."""
    if "topic" not in query:
        return None
    try:
        return msgspec.convert({**query, "type": "subscribe"}, Subscribe)
    except msgspec.ValidationError:
        raise InvalidInput("query", "stream_message") from None
