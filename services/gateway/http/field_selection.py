"""Some fields of entries that are encoded already."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec
from fastapi import Query

from services.gateway.bilingual import both
from shared.contracts.errors import InvalidInput

# White space, but no control characters, which no text may hold.
_SPACE = r"[^\S\x0b-\x1f\x7f-\x9f]*"
_entry = msgspec.json.Decoder(dict[str, msgspec.Raw])


def fields_query(known: Collection[str]) -> Any:
    """Return the parameter that names some of these fields, as OpenAPI describes it."""
    return Query(
        description=both(
            "只返回这些字段，以逗号分隔，如 `name,status`",
            "Return only these fields, separated by commas, like `name,status`",
        ),
        json_schema_extra={"pattern": pattern(known)},
    )


def pattern(known: Collection[str]) -> str:
    """Return the regular expression of what `chosen` takes."""
    one = rf"{_SPACE}({'|'.join(map(re.escape, known))})?{_SPACE}"
    return f"^{one}(,{one})*$"


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
