"""What all request models have in common: an example, and no field that is not described."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidatorFunctionWrapHandler
from pydantic.alias_generators import to_camel
from pydantic_core.core_schema import CoreSchema, no_info_wrap_validator_function


class Camel(BaseModel):
    """A model whose fields are written as in the VM API's document: `createdAt`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


def with_example(example: dict[str, Any], **rules: Any) -> ConfigDict:
    """Return the configuration of a model that has these fields and no others.

    `rules` are JSON Schema's for what validators enforce that fields alone cannot say.
    """
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example], **rules})


def given(field: str, **schema: Any) -> dict[str, Any]:
    """Return the rule that a field is there, and is like this."""
    return {"required": [field], "properties": {field: schema}}


def absent(field: str) -> dict[str, Any]:
    """Return the rule that a field is not there, or null."""
    return {"properties": {field: {"type": "null"}}}


class ReadLaterAs:
    """Describes a body by the model that it is read by when more is known; until then a dict."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that reads as the model what is no dict, which the model refuses."""
        model = handler.generate_schema(self._model)
        return no_info_wrap_validator_function(_left_unread, model)


def _left_unread(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, dict) else read(value)
