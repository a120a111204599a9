"""What a value in an order must look like; who breaks a rule is told it."""

from __future__ import annotations

import re
from collections.abc import Callable

from shared.contracts.changes import Changes, ImageSource
from shared.contracts.errors import InvalidInput
from shared.contracts.operations import Arguments, Kind

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
_NEW_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# LXD makes a directory of this name.
_SNAPSHOT = re.compile(r"[^\s/.][^\s/]{0,62}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


def check_name(name: str) -> None:
    """Raise InvalidInput for what is no instance's name."""
    if not _NAME.fullmatch(name):
        raise InvalidInput("instance", "1-63 letters, digits or '-', starting with a letter")


def check_arguments(kind: Kind, arguments: Arguments) -> None:
    """Raise InvalidInput for arguments that the kind cannot have."""
    if kind in _CHECKS:
        _CHECKS[kind](arguments)


def check_labels(labels: dict[str, str]) -> None:
    """Raise InvalidInput for labels that LXD would not keep as they are."""
    for key, text in labels.items():
        if not _LABEL.fullmatch(key):
            raise InvalidInput("labels", "names of 1-63 letters, digits, '.', '_', '/' or '-'")
        if not text:
            raise InvalidInput("labels", f"a value for {key}")


def check_new_name(name: str) -> None:
    """Raise InvalidInput for a name that LXD gives to no instance."""
    if not _NEW_NAME.fullmatch(name):
        rule = "1-63 letters, digits or '-', starting with a letter and not ending with '-'"
        raise InvalidInput("new_name", rule)


def _check_update(arguments: Arguments) -> None:
    changes = arguments.changes or Changes()
    for field in ("cpu", "memory", "disk"):
        if getattr(changes, field) == 0:
            raise InvalidInput(field, "more than nothing")
    check_labels(changes.labels or {})


def _check_rename(arguments: Arguments) -> None:
    check_new_name(arguments.new_name)


def _check_snapshot(arguments: Arguments) -> None:
    if not _SNAPSHOT.fullmatch(arguments.snapshot):
        rule = "1-63 characters without spaces and '/', not starting with '.'"
        raise InvalidInput("snapshot", rule)


def _check_rebuild(arguments: Arguments) -> None:
    image = arguments.image or ImageSource()
    if bool(image.alias) == bool(image.fingerprint):
        raise InvalidInput("image", "one of alias and fingerprint")


_CHECKS: dict[Kind, Callable[[Arguments], None]] = {
    Kind.UPDATE: _check_update,
    Kind.RENAME: _check_rename,
    Kind.SNAPSHOT: _check_snapshot,
    Kind.REBUILD: _check_rebuild,
}
