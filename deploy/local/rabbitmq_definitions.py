"""RabbitMQ's definitions: the users of a broker, with their rights and limits.

They contain salted hashes, never passwords, and RabbitMQ loads them before it listens, so that no
default user can ever log in.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.rabbitmq.operator_policies import operator_policies
from shared.platform.bus.permissions import Permissions
from shared.platform.bus.topology import HEARTBEATS, heartbeat_key, host_of

Definitions = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class User:
    """A broker user; `tags` are RabbitMQ's, such as `administrator`."""

    name: str
    password: str
    permissions: Permissions
    tags: str = ""


def of(users: Sequence[User], *, vhost: str = "/") -> Definitions:
    """Return the definitions of these users and their virtual host.

    They replace an existing user's rights and password. Those of a host's user include the host's
    exchange, which the host itself may not declare.
    """
    exchanges = [user.permissions.exchange for user in users if user.permissions.exchange]
    heartbeats = [HEARTBEATS.name] if exchanges else []
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(user) for user in users],
        "permissions": [_permission(user, vhost) for user in users],
        "topic_permissions": [line for user in users for line in _topics(user, vhost)],
        "parameters": operator_policies(vhost),
        "exchanges": [_exchange(name, vhost) for name in heartbeats + exchanges],
        "bindings": [_heartbeats_of(exchange, vhost) for exchange in exchanges],
    }


def password_hash(password: str, salt: bytes | None = None) -> str:
    """Return a password as RabbitMQ stores it: a salt of 4 bytes, and the salted SHA-256."""
    salt = os.urandom(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "password_hash": password_hash(user.password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": user.tags,
        "limits": user.permissions.limits,
    }


def _permission(user: User, vhost: str) -> dict[str, str]:
    allowed = user.permissions
    return {
        "user": user.name,
        "vhost": vhost,
        "configure": allowed.configure,
        "write": allowed.write,
        "read": allowed.read,
    }


def _exchange(name: str, vhost: str) -> dict[str, Any]:
    return {
        "name": name,
        "vhost": vhost,
        "type": "topic",
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def _heartbeats_of(exchange: str, vhost: str) -> dict[str, Any]:
    return {
        "source": exchange,
        "vhost": vhost,
        "destination": HEARTBEATS.name,
        "destination_type": "exchange",
        "routing_key": heartbeat_key(host_of(exchange)),
        "arguments": {},
    }


def _topics(user: User, vhost: str) -> list[dict[str, str]]:
    return [
        {"user": user.name, "vhost": vhost, "exchange": exchange, "write": write, "read": read}
        for exchange, (write, read) in user.permissions.topics.items()
    ]
