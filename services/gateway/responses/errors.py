"""The bodies of errors, in the form of either API."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Struct

from services.gateway.bilingual import both
from services.gateway.responses.fields import always, described


class FieldError(Struct, frozen=True):
    """What is wrong with one field.

    一个字段的错误。
    """

    field: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """The body of every error; `code` is stable.

    所有错误的响应体；`code` 不会改变。
    """

    detail: str
    code: str
    errors: Annotated[
        list[FieldError], described("仅 422：各字段的错误", "Of 422 only: the errors of the fields")
    ] = []

    @classmethod
    def examples(cls) -> list[Problem]:
        """Return examples for OpenAPI: one without fields, and one of bad input."""
        missing = both("实例 test1 不存在", "Instance test1 does not exist")
        rule = both("不能大于 60", "must not be greater than 60")
        invalid = both("wait：不能大于 60", "wait: must not be greater than 60")
        return [
            Problem(missing, "instance_not_found"),
            Problem(invalid, "invalid_input", [FieldError("wait", rule)]),
        ]


class VmError(Struct, frozen=True):
    """What went wrong; `code` is stable.

    错误的原因；`code` 不会改变。
    """

    code: str
    message: str
    details: Annotated[
        dict[str, Any],
        described(
            "相关的值；参数错误时 `errors` 列出各字段",
            "The values that the message is about; `errors` lists the fields of bad input",
        ),
    ]


class VmFailure(Struct, frozen=True, kw_only=True):
    """The body of every error under `/api/v1`.

    `/api/v1` 下所有错误的响应体。
    """

    success: Annotated[bool, always(value=False)]
    error: VmError
    timestamp: str

    @classmethod
    def examples(cls) -> list[VmFailure]:
        """Return examples for OpenAPI."""
        message = both("实例 vm-001 不存在", "Instance vm-001 does not exist")
        error = VmError("VM_NOT_FOUND", message, {"name": "vm-001"})
        return [VmFailure(success=False, error=error, timestamp="2026-01-23T03:30:00Z")]
