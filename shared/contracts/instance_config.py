"""The desired configuration of an instance: of a new one, or changes to an existing one.

These are parts of `operations.Arguments`. Sizes are bytes. Secrets (cloud-init data, a root
password) are not among them: they travel as `operations.Secrets` and are never stored.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.bounds import MOST_DEVICES, Cores, Count, Duration, Port, Text, Word

MOST_LABELS = 64
MOST_KEYS = 64
# Words of a command.
MOST_WORDS = 64

Labels = Annotated[dict[Word, Word], Meta(max_length=MOST_LABELS)]


class ImageSource(Struct, frozen=True, kw_only=True, gc=False):
    """Where an image comes from, identified by either `alias` or `fingerprint`.

    `remote` is the name of an image server that the host's operator allows, never an address;
    empty: the host's own store.
    """

    alias: Word = ""
    fingerprint: Word = ""
    remote: Word = ""


class GuestCommand(Struct, frozen=True, kw_only=True):
    """A command that runs as root inside the instance, without a shell."""

    command: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MOST_WORDS)]
    timeout_s: Duration = 60.0


class SnapshotSource(Struct, frozen=True, kw_only=True, gc=False):
    """A snapshot of an instance on the same host, in the same project, to make a new one of."""

    instance: Word
    uuid: Word
    snapshot: Word


class Forward(Struct, frozen=True, kw_only=True, gc=False):
    """Forward `count` ports of the host, from `listen` up, to the instance's, from `connect` up.

    `protocol` is `tcp` or `udp`. With a `listen` of 0 the host chooses the ports from its pool.
    """

    connect: Port
    listen: Annotated[int, Meta(ge=0, le=65535)] = 0
    count: Annotated[int, Meta(ge=1, le=65535)] = 1
    protocol: Word = "tcp"


Forwards = Annotated[tuple[Forward, ...], Meta(max_length=MOST_DEVICES)]


class Limits(Struct, frozen=True, kw_only=True, gc=False):
    """Limits on an instance's network traffic, disk traffic and processes.

    `ingress` and `egress` are bits per second of each network interface; `read` and `write` are
    bytes per second of the root disk. In a description, None means no limit; in a command, None
    leaves the limit as it is and 0 removes it.
    """

    ingress: Count | None = None
    egress: Count | None = None
    read: Count | None = None
    write: Count | None = None
    processes: Count | None = None


NO_LIMITS = Limits()


class NewInstance(Struct, frozen=True, kw_only=True):
    """An instance to create; its name, project and uuid are the operation's.

    `cpu` is a number of CPUs. `network` is a managed network or a bridge of the host; empty: as in
    the profiles. `auto_start` starts it after creation and whenever the host boots. `ports` is how
    many ports of the host's pool are forwarded to it, besides the one for SSH that `ssh` requests.
    `copy_of` is the snapshot that it is a copy of, instead of an image.
    `cloud_init_digest` was used by an earlier release and is now always empty: a digest would let
    whoever reads the command try out passwords.
    """

    image: ImageSource
    cpu: Cores
    memory: Count
    disk: Count
    type: Word = "container"
    display_name: Word = ""
    description: Text = ""
    network: Word = ""
    auto_start: bool = False
    labels: Labels = {}
    ssh_keys: Annotated[tuple[Text, ...], Meta(max_length=MOST_KEYS)] = ()
    ssh: bool = False
    ports: Annotated[int, Meta(ge=0, le=1000)] = 0
    cloud_init_digest: Word = ""
    limits: Limits = NO_LIMITS
    copy_of: SnapshotSource | None = None


class Changes(Struct, frozen=True, kw_only=True):
    """Changes to an instance; None leaves a setting as it is.

    `labels` and `forwards` replace all existing ones.
    """

    cpu: Cores | None = None
    memory: Count | None = None
    disk: Count | None = None
    description: Text | None = None
    auto_start: bool | None = None
    labels: Labels | None = None
    forwards: Forwards | None = None
    limits: Limits = NO_LIMITS
