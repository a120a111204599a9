"""The form of every answer of the VM API v1, and the document's names for our errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from services.gateway import units
from services.gateway.http.errors import STATUS, HttpError, LocalizedError
from services.gateway.responses.errors import VmError, VmFailure
from shared.contracts.errors import FleetError, InvalidInput

PREFIX = "/api/v1"

# Where the document has a name of its own, or a status that is not the instances API's.
NAMES: dict[str, tuple[str, int]] = {
    "instance_not_found": ("VM_NOT_FOUND", 404),
    "instance_running": ("VM_ALREADY_RUNNING", 400),
    "instance_not_running": ("VM_ALREADY_STOPPED", 400),
    # Only of a stopped one: one that runs already is no error of the worker's.
    "instance_not_frozen": ("VM_ALREADY_STOPPED", 400),
    "instance_exists": ("VM_ALREADY_EXISTS", 409),
    "instance_changed_since": ("PRECONDITION_FAILED", 412),
    "policy_changed_since": ("PRECONDITION_FAILED", 412),
    "instance_replaced": ("VM_REPLACED", 409),
    "lxd_busy": ("OPERATION_IN_PROGRESS", 409),
    "snapshot_exists": ("SNAPSHOT_ALREADY_EXISTS", 409),
    "invalid_input": ("VALIDATION_ERROR", 400),
    "no_host_fits": ("INSUFFICIENT_RESOURCES", 400),
    "route_not_found": ("NOT_FOUND", 404),
    "body_too_large": ("PAYLOAD_TOO_LARGE", 413),
    "media_type_not_supported": ("UNSUPPORTED_MEDIA_TYPE", 415),
}


class SuccessEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer but errors; OpenAPI has a schema of it for each kind of data."""

    success: bool = True
    data: object


def is_of(path: str) -> bool:
    """Whether what is at a path speaks in this form."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def named(code: str) -> tuple[str, int]:
    """Return the name and the HTTP status that a code of ours has in this API."""
    return NAMES.get(code) or (code.upper(), STATUS[code])


def success(
    data: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer that holds the data."""
    return Response(
        msgspec.json.encode(SuccessEnvelope(data=data)),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def failure(
    failed: LocalizedError, now: datetime, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer for a failure; `headers` are told beside its own."""
    return Response(
        msgspec.json.encode(
            VmFailure(success=False, error=error(failed), timestamp=units.utc_text(now))
        ),
        status_code=named(failed.code)[1],
        headers={**failed.headers, **(headers or {})},
        media_type="application/json",
    )


def error(failed: LocalizedError) -> VmError:
    """Return the error alone, without the envelope."""
    return VmError(named(failed.code)[0], failed.text, _details(failed))


def in_its_words(failed: FleetError | HttpError) -> FleetError | HttpError:
    """Return an error that calls a field as this API does: `jitterSeconds`, not `jitter_s`.

    Hosts and central services use the names of messages.
    """
    if not isinstance(failed, InvalidInput):
        return failed
    return InvalidInput(field_name(failed.field), failed.rule)


def field_name(name: str) -> str:
    """Return the name of a field of a message, or of one inside another, in this API."""
    return ".".join(
        to_camel(re.sub(r"_s$", "_seconds", part)) if "_" in part else part
        for part in name.split(".")
    )


def _details(failed: LocalizedError) -> dict[str, object]:
    details: dict[str, object] = {to_camel(name): value for name, value in failed.values.items()}
    if failed.fields:
        details["errors"] = failed.fields
    return details
