"""Instances and hosts, as LXD describes them and as the sampler measures them.

These are parts of the messages in `events` and `operations`. Sizes are bytes, shares are percent
from 0 to 100, times are RFC 3339 with `Z`. `None` means unknown, never zero. They are in no
reference cycle, so the garbage collector need not visit the many of a large fleet (`gc=False`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.bounds import (
    MOST_DEVICES,
    MOST_PROFILES,
    MOST_PROXY_OPTIONS,
    MOST_USER_KEYS,
    Count,
    Moment,
    Name,
    Text,
    Word,
)
from shared.contracts.instance_config import NO_LIMITS, Labels, Limits

DEFAULT_PROJECT = "default"

# LXD's spellings of true.
_YES = ("true", "1", "yes", "on")


class Proxy(Struct, frozen=True, kw_only=True, gc=False):
    """A proxy device; `listen` (`tcp:0.0.0.0:20001`) and `connect` in LXD's own notation.

    `options` are its other settings, such as `bind`, `nat` and `proxy_protocol`.
    """

    device: Word
    listen: Word
    connect: Word
    options: Annotated[dict[Word, Word], Meta(max_length=MOST_PROXY_OPTIONS)] = {}

    @property
    def on_host(self) -> bool:
        """Whether it listens on the host, not inside the instance."""
        return self.options.get("bind", "host") == "host"

    @property
    def proxy_protocol(self) -> bool:
        """Whether it sends a PROXY protocol header, which the receiver must expect."""
        return self.options.get("proxy_protocol", "").lower() in _YES


class Trash(Struct, frozen=True, kw_only=True, gc=False):
    """The root that an instance had before its last rebuild or revert.

    LXD holds it as an instance called `name`, which no list shows, until `until`. `size` is its
    limit in bytes, None without one.
    """

    name: Name
    until: Moment
    size: Count | None = None


class Instance(Struct, frozen=True, kw_only=True, gc=False):
    """The configuration of one instance in LXD, with its profiles applied.

    `uuid` is `volatile.uuid`. `revision` grows whenever the worker reads the instance again, and
    orders descriptions of one worker epoch. `user` has only the `user.*` keys in `USER_KEYS`,
    without the prefix. `cpu_limit` is LXD's text (`2`, `0-3`, empty: all); `memory_limit` and
    `root_size` are None without a limit. `display_name` and `labels` are ours, stored in
    `user.lxdfleet.*`; `operation_id` is the operation that created it through us. `os` is the
    image's distribution and release (`ubuntu20.04`), empty if unknown. `networks` are the networks
    and bridges of its NICs, `location` its cluster member. LXD deletes an `ephemeral` instance when
    it stops. `limits` has the loosest of several NICs' limits. `trash` is the root that a revert
    restores, None if there is none.
    """

    name: Name
    uuid: Word
    type: Word
    status: Word
    architecture: Word
    created_at: Word
    project: Word = DEFAULT_PROJECT
    description: Text = ""
    user: Annotated[dict[Word, Text], Meta(max_length=MOST_USER_KEYS)] = {}
    proxies: Annotated[tuple[Proxy, ...], Meta(max_length=MOST_DEVICES)] = ()
    cpu_limit: Text = ""
    memory_limit: Count | None = None
    root_size: Count | None = None
    profiles: Annotated[tuple[Word, ...], Meta(max_length=MOST_PROFILES)] = ()
    revision: Count = 0
    display_name: Word = ""
    labels: Labels = {}
    operation_id: Word = ""
    auto_start: bool = False
    os: Word = ""
    networks: Annotated[tuple[Word, ...], Meta(max_length=MOST_DEVICES)] = ()
    location: Word = ""
    ephemeral: bool = False
    limits: Limits = NO_LIMITS
    trash: Trash | None = None


# The only `user.*` keys that leave the host; others, such as cloud-init data, may hold secrets.
USER_KEYS = ("description", "ssh_port", "nat_ports", "root_password")
