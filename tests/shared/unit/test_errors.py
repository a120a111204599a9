from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest

from shared.contracts import errors
from shared.contracts.errors import BY_CODE, FleetError, OperationInProgress, error_from_code


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=BY_CODE.keys())
def test_an_error_survives_the_wire(kind: type[FleetError]) -> None:
    count = len(fields(kind)) if is_dataclass(kind) else 0
    original = kind(*[f"value-{number}" for number in range(count)])

    copy = error_from_code(original.code, list(original.values))

    assert type(copy) is kind
    assert str(copy) == str(original)
    assert all(value in str(copy) for value in copy.values)


def test_codes_are_distinct_and_each_error_is_temporary_or_permanent() -> None:
    leaves = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, FleetError)
        and kind not in (FleetError, errors.TemporaryError, errors.PermanentError)
    ]

    assert {kind.code: kind for kind in leaves} == BY_CODE
    assert all(issubclass(kind, errors.TemporaryError | errors.PermanentError) for kind in leaves)


@pytest.mark.parametrize(
    ("code", "values"), [("from_the_future", ["x"]), ("operation_in_progress", ["only one"])]
)
def test_an_error_of_a_newer_release_keeps_its_code_and_values(
    code: str, values: list[str]
) -> None:
    error = error_from_code(code, values)

    assert str(error) == f"LXD refused: {code}: {values[0]}"


def test_values_of_an_error_have_names() -> None:
    error = OperationInProgress("web", "op-1")

    assert (error.instance, error.operation_id) == ("web", "op-1")


def test_values_that_are_given_by_name_cross_the_bus_in_their_order() -> None:
    error = OperationInProgress(operation_id="op-1", instance="web")

    assert error.values == ("web", "op-1")
