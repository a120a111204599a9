"""The rules for values in a command; InvalidInput names the rule that was broken."""

from __future__ import annotations

import re
from collections.abc import Callable

from shared.contracts.errors import InvalidInput
from shared.contracts.instance_config import Changes, ImageSource, Limits
from shared.contracts.operations import Arguments, Kind

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
_NEW_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# On a `dir` pool LXD 5.0 takes these for paths: it would delete all snapshots of all instances, or
# restore them into this one.
_FOLDERS = (".", "..")
# LXD makes a directory of this name, and LXD 5.0 unescapes the names in a path twice.
_SNAPSHOT = re.compile(r"[^\s/%?+&.\x00-\x1f\x7f-\x9f][^\s/%?+&\x00-\x1f\x7f-\x9f]{0,62}")
# Less is a mistake in the unit, and the kernel's shapers cannot enforce it.
_LEAST_BITS = 1000
# One line of `chpasswd`, and one field of `name ssh password first last`.
_PASSWORD = re.compile(r"[!-9;-~]{8,128}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


def check_name(name: str) -> None:
    """Raise InvalidInput for a name that no instance can have."""
    if not _NAME.fullmatch(name):
        raise InvalidInput("instance", "1-63 letters, digits or '-', starting with a letter")


def check_arguments(kind: Kind, arguments: Arguments) -> None:
    """Raise InvalidInput for arguments that are not valid for this kind of command."""
    if kind in _CHECKS:
        _CHECKS[kind](arguments)


def check_labels(labels: dict[str, str]) -> None:
    """Raise InvalidInput for labels that LXD would not store as they are."""
    for key, text in labels.items():
        if not _LABEL.fullmatch(key):
            raise InvalidInput("labels", "names of 1-63 letters, digits, '.', '_', '/' or '-'")
        if not text:
            raise InvalidInput("labels", f"a value for {key}")


def check_limits(limits: Limits) -> None:
    """Raise InvalidInput for limits that the kernel could not enforce."""
    for field in ("ingress", "egress"):
        if 0 < (getattr(limits, field) or 0) < _LEAST_BITS:
            raise InvalidInput(field, "at least 1000 bits a second")


def check_password(password: str) -> None:
    """Raise InvalidInput for a password that a guest or a note would not hold as it is."""
    if not _PASSWORD.fullmatch(password):
        raise InvalidInput("password", "8-128 printable ASCII characters without spaces and colons")


def check_new_name(name: str) -> None:
    """Raise InvalidInput for a new name that LXD would refuse."""
    if not _NEW_NAME.fullmatch(name):
        rule = "1-63 letters, digits or '-', starting with a letter and not ending with '-'"
        raise InvalidInput("new_name", rule)


def _check_update(arguments: Arguments) -> None:
    changes = arguments.changes or Changes()
    for field in ("cpu", "memory", "disk"):
        if getattr(changes, field) == 0:
            raise InvalidInput(field, "more than nothing")
    check_limits(changes.limits)


def _check_rename(arguments: Arguments) -> None:
    check_new_name(arguments.new_name)


def _check_snapshot(arguments: Arguments) -> None:
    _check_new_snapshot("snapshot", arguments.snapshot)
    if arguments.safety_snapshot:
        raise InvalidInput("safety_snapshot", "for a restore only")
    for field in ("pre", "post"):
        command = getattr(arguments, field)
        if command and (not command.command[0] or any("\0" in one for one in command.command)):
            raise InvalidInput(field, "a program and its arguments, without NUL")


def _check_restore(arguments: Arguments) -> None:
    _check_present_snapshot(arguments)
    if arguments.safety_snapshot:
        _check_new_snapshot("safety_snapshot", arguments.safety_snapshot)


def _check_new_snapshot(field: str, name: str) -> None:
    if not _SNAPSHOT.fullmatch(name):
        rule = "1-63 characters without spaces and any of '/%?+&', not starting with '.'"
        raise InvalidInput(field, rule)


def _check_present_snapshot(arguments: Arguments) -> None:
    if arguments.snapshot in _FOLDERS:
        raise InvalidInput("snapshot", "no name that is a path")


def _check_rebuild(arguments: Arguments) -> None:
    image = arguments.image or ImageSource()
    if bool(image.alias) == bool(image.fingerprint):
        raise InvalidInput("image", "one of alias and fingerprint")


_CHECKS: dict[Kind, Callable[[Arguments], None]] = {
    Kind.UPDATE: _check_update,
    Kind.RENAME: _check_rename,
    Kind.SNAPSHOT: _check_snapshot,
    Kind.RESTORE: _check_restore,
    Kind.DELETE_SNAPSHOT: _check_present_snapshot,
    Kind.REBUILD: _check_rebuild,
}
