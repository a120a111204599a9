"""Reading what a caller wants to change of a VM, and what of it a host is told.

Answers are sent back whole. LXD holds more than may be written here: disks of size 0, labels of two
lines. What a body repeats of what is shown is no change, and no rule is applied to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from services.gateway import units
from services.gateway.http.request_models.vm_update import VmUpdate
from services.gateway.responses.vm_limits import VmLimits
from services.gateway.responses.vms import Vm
from services.gateway.vms import limits
from shared.contracts.errors import InvalidInput
from shared.contracts.instance_config import MOST_LABELS, NO_LIMITS, Changes, Limits

Fields = dict[str, Any]
_UNITS = {"memory": units.MIB, "disk": units.GIB}


def given(body: Fields, shown: Vm) -> dict[str, object]:
    """Return the fields that are to be changed; raise RequestValidationError."""
    differing = _differing(body, msgspec.to_builtins(shown))
    fields, new = _read(differing), differing.get("labels")
    if not isinstance(new, dict):
        return fields
    repeated = {key: text for key, text in body["labels"].items() if key not in new}
    return {**fields, "labels": _together(repeated, new)}


def changes(wanted: Mapping[str, object], shown: Vm) -> Changes | None:
    """Return what differs between the wanted fields and those that the caller is shown.

    So an answer can be sent back whole, and what it shows of an instance without limits becomes no
    limit. None: nothing differs. Raises InvalidInput for another name.
    """
    if wanted.get("name", shown.name) != shown.name:
        raise InvalidInput("name", "rename_elsewhere")
    differing = {
        field: _in_bytes(field, value)
        for field, value in wanted.items()
        if field != "limits" and value != getattr(shown, field)
    }
    limited = differing_limits(wanted.get("limits", {}), shown.limits)  # type: ignore[arg-type]
    if limited != NO_LIMITS:
        differing["limits"] = limited
    return Changes(**differing) if differing else None  # type: ignore[arg-type]


def _differing(given: Fields, shown: Fields) -> Fields:
    """Return what is not as it is shown, of tables only that part."""
    return {
        key: _differing(value, shown[key]) if _are_tables(value, shown.get(key)) else value
        for key, value in given.items()
        if key not in shown or not _same(value, shown[key])
    }


def differing_limits(given: Mapping[str, limits.Number], present: VmLimits) -> Limits:
    """Return the limits that are not set like this already; null and 0 both mean none."""
    now = {
        "ingress": present.network.ingress_mbit,
        "egress": present.network.egress_mbit,
        "read": present.disk.read_mbyte,
        "write": present.disk.write_mbyte,
        "processes": present.processes,
    }
    return limits.to_limits(
        {field: number for field, number in given.items() if (number or 0) != (now[field] or 0)}
    )


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def _same(value: object, shown: object) -> bool:
    # To Python `true` is 1.
    return value == shown and isinstance(value, bool) == isinstance(shown, bool)


def _read(fields: Fields) -> dict[str, object]:
    try:
        return VmUpdate.model_validate(fields).given()
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


def _in_bytes(field: str, value: object) -> object:
    if field not in _UNITS or not isinstance(value, int | float):
        return value
    return round(value * _UNITS[field])
