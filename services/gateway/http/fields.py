"""Some fields of entries that are encoded already."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from shared.contracts.errors import InvalidInput

_entry = msgspec.json.Decoder(dict[str, msgspec.Raw])


def chosen(text: str | None, known: Collection[str]) -> tuple[str, ...]:
    """Return the fields that `name,status` names, each once; empty: all of them.

    Raises InvalidInput.
    """
    named = (name.strip() for name in (text or "").split(","))
    names = tuple(dict.fromkeys(name for name in named if name))
    if not set(names) <= set(known):
        raise InvalidInput("fields", "known_fields")
    return names


def only(entry: bytes, names: Collection[str]) -> bytes:
    """Return an encoded entry without its other fields; empty: as it is.

    A field that only some entries have is left out of the others.
    """
    if not names:
        return entry
    values = _entry.decode(entry)
    return msgspec.json.encode({name: values[name] for name in names if name in values})
