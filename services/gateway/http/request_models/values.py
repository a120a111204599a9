"""The values that a caller may give a VM's fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from services.gateway.free_text import ONE_LINE
from services.gateway.http.free_text import WithoutControls
from shared.contracts.instance_config import MOST_LABELS

# In bytes they are still numbers that every part can take.
MOST_CPUS, MOST_MIB, MOST_GIB = 2**16, 2**40, 2**30

# What a NAT script's description and chpasswd can hold.
PASSWORD = r"^[!-9;-~]+$"  # noqa: S105 - the rule for one
LABEL_KEY = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$"


def _a_number(value: object) -> object:
    """Refuse what Python would take for a number, but JSON does not."""
    if isinstance(value, bool | str):
        raise PydanticCustomError("int_type", "no number")
    return value


Number = BeforeValidator(_a_number)
OneLine = Annotated[str, Field(min_length=1, max_length=255, pattern=ONE_LINE), WithoutControls]
DisplayName = OneLine
Named = Annotated[str, Field(min_length=1, max_length=255), WithoutControls]
Description = Annotated[str, Field(max_length=8192), WithoutControls]
Cpus = Annotated[int, Field(ge=1, le=MOST_CPUS), Number]
Mib = Annotated[int, Field(ge=1, le=MOST_MIB), Number]
Gib = Annotated[float, Field(gt=0, le=MOST_GIB, allow_inf_nan=False), Number]
# Less than a thousandth of a million is a slip of units.
_LEAST_MILLIONS, _MOST_MILLIONS = 0.001, 10**9


def _a_rate(value: float) -> float:
    """Refuse what is next to nothing, and would be none."""
    if 0 < value < _LEAST_MILLIONS:
        raise PydanticCustomError("greater_than_equal", "too little", {"ge": _LEAST_MILLIONS})
    return value


_Rate = Annotated[
    float,
    Field(
        ge=0,
        le=_MOST_MILLIONS,
        allow_inf_nan=False,
        json_schema_extra={"anyOf": [{"const": 0}, {"minimum": _LEAST_MILLIONS}]},
    ),
    Number,
    AfterValidator(_a_rate),
]
Millions = _Rate | None
MOST_PROCESSES = 2**22
Processes = Annotated[int, Field(ge=0, le=MOST_PROCESSES), Number] | None
LabelKey = Annotated[str, Field(pattern=LABEL_KEY), WithoutControls]
LabelValue = OneLine
Labels = Annotated[
    dict[LabelKey, LabelValue],
    Field(max_length=MOST_LABELS, json_schema_extra={"additionalProperties": False}),
]
