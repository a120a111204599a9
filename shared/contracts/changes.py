"""What an instance shall become: a new one, or another shape of one that is there.

These are parts of `operations.Arguments`. Sizes are bytes. What is secret (cloud-init data, a root
password) is no part of it: it travels as `operations.Secrets` and is kept nowhere.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.bounds import MOST_DEVICES, Cores, Count, Port, Text, Word

MOST_LABELS = 64
MOST_KEYS = 64

Labels = Annotated[dict[Word, Word], Meta(max_length=MOST_LABELS)]


class ImageSource(Struct, frozen=True, kw_only=True):
    """Where an image comes from: one of `alias` and `fingerprint` says which.

    `remote` is the name of an image server that the host's operator allows; empty: the image is in
    the host's own store. It is never an address.
    """

    alias: Word = ""
    fingerprint: Word = ""
    remote: Word = ""


class Forward(Struct, frozen=True, kw_only=True):
    """`count` ports of the host, from `listen` on, that lead to those from `connect` on.

    `protocol` is `tcp` or `udp`. A `listen` of 0 leaves the choice to the host, from its pool.
    """

    connect: Port
    listen: Annotated[int, Meta(ge=0, le=65535)] = 0
    count: Annotated[int, Meta(ge=1, le=65535)] = 1
    protocol: Word = "tcp"


Forwards = Annotated[tuple[Forward, ...], Meta(max_length=MOST_DEVICES)]


class Limits(Struct, frozen=True, kw_only=True):
    """How much an instance may move in a second, and how many processes it may have.

    `ingress` and `egress` are bits a second into and out of it, over each of its network
    interfaces; `read` and `write` are bytes a second of its root disk. Of an instance None says
    that there is no limit; in an order None leaves it as it is, and 0 takes it away.
    """

    ingress: Count | None = None
    egress: Count | None = None
    read: Count | None = None
    write: Count | None = None
    processes: Count | None = None


NO_LIMITS = Limits()


class NewInstance(Struct, frozen=True, kw_only=True):
    """An instance to create; its name, project and uuid are the operation's.

    `cpu` is a number of CPUs. `network` is a managed network or a bridge of the host; empty: what
    the profiles give. `auto_start` starts it after its creation and whenever the host boots.
    `ports` is how many ports of the host's pool lead to it besides the one for SSH that `ssh` asks
    for. `cloud_init_digest` is of an earlier release, and empty since: who reads an order must not
    be able to try out passwords against a digest.
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


class Changes(Struct, frozen=True, kw_only=True):
    """What to change of an instance; None: leave it as it is.

    `labels` and `forwards` replace all that there are.
    """

    cpu: Cores | None = None
    memory: Count | None = None
    disk: Count | None = None
    description: Text | None = None
    auto_start: bool | None = None
    labels: Labels | None = None
    forwards: Forwards | None = None
    limits: Limits = NO_LIMITS
