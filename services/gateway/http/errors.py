"""What there is to tell of a failure: its HTTP status, and its text in two languages.

Each API puts it into a form of its own: see `problem_details`, and `v1.envelope`, which has the
statuses that the document of the VM API wants otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from starlette.requests import HTTPConnection

from services.gateway.bilingual import Language
from services.gateway.http import messages
from services.gateway.http.language import preferred_language
from services.gateway.responses.errors import FieldError
from shared.contracts.bounds import clip
from shared.contracts.errors import (
    FleetError,
    InvalidInput,
    OperationInProgress,
    OutcomeUnknown,
    PasswordNotSet,
    SnapshotsSilent,
    TemporaryError,
)
from shared.contracts.truncation import first_few

STATUS: dict[str, int] = {
    "bad_request": 400,
    "insufficient_resources": 400,
    "no_host_fits": 400,
    "unauthorized": 401,
    "host_header_not_allowed": 403,
    "origin_not_allowed": 403,
    "host_not_found": 404,
    "image_not_found": 404,
    "instance_not_found": 404,
    "log_not_found": 404,
    "operation_not_found": 404,
    "policy_not_found": 404,
    "route_not_found": 404,
    "snapshot_not_found": 404,
    "trash_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "ambiguous_name": 409,
    "ambiguous_project": 409,
    "ambiguous_vm": 409,
    "cancelled": 409,
    "command_failed": 409,
    "console_in_use": 409,
    "host_identity_mismatch": 409,
    "host_still_online": 409,
    "instance_exists": 409,
    "instance_not_frozen": 409,
    "instance_not_running": 409,
    "instance_replaced": 409,
    "instance_running": 409,
    "lxd_busy": 409,
    "operation_in_progress": 409,
    "operation_not_cancellable": 409,
    "password_not_set": 409,
    "policy_disabled": 409,
    "policy_exists": 409,
    "port_in_use": 409,
    "snapshot_exists": 409,
    "instance_changed_since": 412,
    "policy_changed_since": 412,
    "body_too_large": 413,
    "uri_too_long": 414,
    "media_type_not_supported": 415,
    "idempotency_key_reused": 422,
    "invalid_input": 422,
    "head_too_large": 431,
    "internal_error": 500,
    "lxd_refused": 500,
    "no_effect": 500,
    "operation_unknown": 500,
    "unreadable_message": 500,
    "worker_failed": 500,
    "broker_unavailable": 503,
    "database_unavailable": 503,
    "fleet_view_not_ready": 503,
    "host_busy": 503,
    "host_unreachable": 503,
    "lxd_unavailable": 503,
    "no_host_for_now": 503,
    "not_ready": 503,
    "not_sampled": 503,
    "operation_expired": 503,
    "operation_refused": 503,
    "secrets_not_received": 503,
    "snapshots_unavailable": 503,
    "step_interrupted": 503,
    "stream_lost": 503,
    "too_many_connections": 503,
    "too_many_consoles": 503,
    "worker_outdated": 503,
    "outcome_unknown": 504,
    "snapshots_silent": 504,
    "step_timed_out": 504,
}

RETRY_AFTER_S = "1"
# All fields of a request, but not all keys of a table in it.
MOST_FIELDS = 20
LONGEST_OF_FIELD = 300
LONGEST_PLACE = 64


class HttpError(Exception):
    """A failure that only HTTP knows; `values` go into its text, `headers` into its answer."""

    def __init__(
        self, code: str, *, headers: Mapping[str, str] | None = None, **values: object
    ) -> None:
        super().__init__(code)
        self.code = code
        self.headers = dict(headers or {})
        self.values = values


@dataclass(frozen=True, slots=True)
class LocalizedError:
    """A failure as it is told to one caller.

    `values` are what it speaks of, by name; `fields` is what is wrong with bad input.
    """

    code: str
    text: str
    headers: Mapping[str, str]
    fields: list[FieldError] = field(default_factory=list)
    values: Mapping[str, object] = field(default_factory=dict)


def told(error: FleetError | HttpError, language: Language) -> LocalizedError:
    """Return what there is to tell of an error."""
    return LocalizedError(
        code=error.code,
        text=problem_text(error, language),
        headers={"content-language": language, **_headers(error)},
        fields=_fields(error, language),
        values={} if isinstance(error, InvalidInput) else _values(error, language),
    )


def told_of_input(error: RequestValidationError, language: Language) -> LocalizedError:
    """Return what there is to tell of a request whose values break rules."""
    # Each entry of a long list may break the same rule.
    fields = list(dict.fromkeys(_field(entry, language) for entry in error.errors()))
    texts = [
        messages.translate("invalid_input", language, field=each.field, rule=each.message)
        for each in fields
    ]
    headers = {"content-language": language}
    text = first_few(texts, "; ", LONGEST_OF_FIELD)
    return LocalizedError("invalid_input", text, headers, fields[:MOST_FIELDS])


def problem_text(error: FleetError | HttpError, language: Language) -> str:
    """Return what an error says."""
    return messages.translate(error.code, language, **_values(error, language))


def language_of(connection: HTTPConnection) -> Language:
    """Return the language of whoever is connected."""
    return preferred_language(connection.headers.get("accept-language", ""))


def _values(error: FleetError | HttpError, language: Language) -> dict[str, Any]:
    if isinstance(error, InvalidInput):
        return {"field": error.field, "rule": _rule(error.rule, language)}
    if isinstance(error, HttpError):
        return error.values
    if isinstance(error, PasswordNotSet):
        return {"name": error.name, "reason": _rule(error.reason, language)}
    return vars(error)


def _rule(rule: str, language: Language) -> str:
    """Return a rule's text; what has no code here is text already.

    A host may have written it: then it must not name a text that takes values.
    """
    return messages.translate(rule, language) if rule in messages.RULES else rule


def _fields(error: FleetError | HttpError, language: Language) -> list[FieldError]:
    if not isinstance(error, InvalidInput):
        return []
    return [FieldError(error.field, _rule(error.rule, language))]


def _headers(error: FleetError | HttpError) -> dict[str, str]:
    if isinstance(error, HttpError):
        return error.headers
    if isinstance(error, OperationInProgress):
        # It may be a host's word: in a header it must not begin another one.
        return {"location": f"/api/operations/{quote(error.operation_id, safe='')}"}
    # Not after a lost answer: that request may have been carried out and must not be repeated.
    again = isinstance(error, TemporaryError) and not isinstance(
        error, OutcomeUnknown | SnapshotsSilent
    )
    return {"retry-after": RETRY_AFTER_S} if again else {}


def _field(entry: Mapping[str, Any], language: Language) -> FieldError:
    code = entry["type"] if entry["type"] in messages.TEXTS else "not_valid"
    return FieldError(
        _place(entry["loc"]), messages.translate(code, language, **entry.get("ctx", {}))
    )


def _place(location: Sequence[str | int]) -> str:
    """Return `wait` of `("query", "wait")`; a body as a whole is `body`."""
    inside = [str(part) for part in location[1:] if not isinstance(part, int)]
    return clip(".".join(inside) or str(location[0]), LONGEST_PLACE)
