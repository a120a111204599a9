"""OpenAPI's schemas of answers, made of the structs that are encoded.

A route names what it answers by a `SchemaOf`; the schema itself is made with the document. What
requests may say is described by the pydantic models that read them.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

REF = "#/components/schemas/{name}"
Schema = dict[str, Any]


class Answer(Protocol):
    """A struct that is the body of an answer, or the data of an envelope."""

    @classmethod
    def examples(cls) -> Iterable[Struct]:
        """Return examples; where they hold other structs, those are examples of theirs."""


class SchemaOf(Schema):
    """The reference to a struct's schema, or with `many` the schema of a list of them.

    `enveloped`: of the envelope that holds the struct.
    """

    def __init__(
        self, answer: type[Answer], *, enveloped: bool = False, many: bool = False
    ) -> None:
        self.answer, self.enveloped = answer, enveloped
        name = _name(answer.__name__)
        one = {"$ref": REF.format(name=f"{name}Answer" if enveloped else name)}
        super().__init__({"type": "array", "items": one} if many else one)


def response_schemas(referred: Iterable[SchemaOf]) -> dict[str, Schema]:
    """Return the schemas that these refer to, and those within them, by name."""
    kinds = dict.fromkeys((each.answer, each.enveloped) for each in referred)
    answers = dict.fromkeys(answer for answer, _ in kinds)
    examples = _examples(answers)
    _, found = msgspec.json.schema_components(answers, ref_template=REF)
    schemas = {_name(name): _schema(found[name], examples[name]) for name in found}
    enveloped = [_name(answer.__name__) for answer, enveloped in kinds if enveloped]
    return schemas | {f"{name}Answer": _envelope(name, schemas[name]) for name in enveloped}


def _name(struct: str) -> str:
    """Return the name of a struct's schema; a struct called `...View` shows what has the name."""
    return struct.removesuffix("View")


def _schema(schema: Schema, examples: Sequence[Struct]) -> Schema:
    """Return msgspec's schema in the form of pydantic's, closed, and with examples."""
    properties = {name: _field(name, field) for name, field in schema["properties"].items()}
    result = {
        **schema,
        "title": _name(schema["title"]),
        "description": inspect.cleandoc(schema["description"]),
        "properties": properties,
        "additionalProperties": False,
        "examples": [msgspec.to_builtins(example) for example in examples],
    }
    if not examples[0].__struct_config__.omit_defaults:
        # A default is a matter of who makes it: the answer has every field.
        result["required"] = list(properties)
        for field in properties.values():
            field.pop("default", None)
    return result


def _field(name: str, schema: Schema) -> Schema:
    schema = _with_public_names(schema)
    if schema.get("default", ...) is None:
        del schema["default"]
    if any("$ref" in choice for choice in schema.get("anyOf", [schema])):
        return schema
    return {**schema, "title": name.replace("_", " ").title().strip()}


def _with_public_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _name(part) if key == "$ref" else _with_public_names(part)
            for key, part in value.items()
        }
    return [_with_public_names(part) for part in value] if isinstance(value, list) else value


def _envelope(name: str, data: Schema) -> Schema:
    """Return the schema of a `SuccessEnvelope` with such data."""
    return {
        "title": f"{name}Answer",
        "description": data["description"],
        "type": "object",
        "properties": {
            "success": {"type": "boolean", "const": True, "title": "Success"},
            "data": {"$ref": REF.format(name=name)},
        },
        "required": ["success", "data"],
        "additionalProperties": False,
        "examples": [{"success": True, "data": example} for example in data["examples"]],
    }


def _examples(answers: Iterable[type[Answer]]) -> Mapping[str, Sequence[Struct]]:
    """Return the examples of structs and of what they hold, by the structs' names.

    A struct without examples of its own has what the others hold of it.
    """
    found: dict[str, Sequence[Struct]] = {}

    def collect(kind: type, examples: Sequence[Struct]) -> None:
        if kind.__name__ in found:
            return
        found[kind.__name__] = examples
        for part in itertools.chain.from_iterable(map(_parts, examples)):
            collect(type(part), part.examples() if hasattr(part, "examples") else [part])

    for answer in answers:
        collect(answer, list(answer.examples()))
    return found


def _parts(struct: Struct) -> Iterator[Struct]:
    """Yield the structs that are fields of another one, or in its lists."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, Struct):
                yield part
