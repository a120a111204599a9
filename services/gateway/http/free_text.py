"""The texts of a request, which hold no control characters: `domain.free_text` says why.

Every `str` that a request may give is one of these; a test tries each of them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

from services.gateway.free_text import PLAIN, RULE, has_control_characters


def _without(value: object) -> object:
    if isinstance(value, str) and has_control_characters(value):
        raise PydanticCustomError(RULE, "a control character")
    return value


def _header_without(value: object) -> object:
    """Look at a header as its sender wrote it: in UTF-8, which HTTP reads as Latin-1."""
    if isinstance(value, str):
        _without(value.encode("latin-1", "replace").decode(errors="replace"))
    return value


class _Plain(BeforeValidator):
    """The same in OpenAPI, where no other pattern says more."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"pattern": PLAIN, **handler(schema)}


# They stand behind a text's bounds, so that OpenAPI tells those.
WithoutControls = _Plain(_without)
HeaderWithoutControls = BeforeValidator(_header_without)

FreeText = Annotated[str, WithoutControls]
HeaderText = Annotated[str, HeaderWithoutControls]
