"""Reading what a caller wants to change of a VM.

Answers are sent back whole. LXD holds more than may be written here: disks of size 0, labels of two
lines. What a body repeats of what is shown is no change, and no rule is applied to it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from services.gateway.domain.presentation_vms import Vm
from services.gateway.http import models
from shared.contracts.changes import MOST_LABELS

Fields = dict[str, Any]


def given(body: Fields, shown: Vm) -> dict[str, object]:
    """Return the fields that are to be changed; raise RequestValidationError."""
    there = msgspec.to_builtins(shown)
    differing = {k: v for k, v in body.items() if k not in there or not _same(v, there[k])}
    labels = differing.get("labels")
    if not isinstance(labels, dict):
        return _read(differing)
    repeated = dict(item for item in labels.items() if item in shown.labels.items())
    new = {key: text for key, text in labels.items() if key not in repeated}
    fields = _read({**differing, "labels": new})
    return {**fields, "labels": _together(repeated, new)}


def _same(value: object, shown: object) -> bool:
    # To Python `true` is 1.
    return value == shown and isinstance(value, bool) == isinstance(shown, bool)


def _read(fields: Fields) -> dict[str, object]:
    try:
        return models.VmUpdate.model_validate(fields).given()
    except ValidationError as refused:
        found = refused.errors(include_url=False)
        raise RequestValidationError(
            [{**error, "loc": ("body", *error["loc"])} for error in found]
        ) from None


def _together(repeated: Fields, new: Fields) -> Fields:
    if len(repeated) + len(new) > MOST_LABELS:
        error = {"type": "too_long", "loc": ("body", "labels"), "ctx": {"max_length": MOST_LABELS}}
        raise RequestValidationError([error])
    return repeated | new
