from shared.contracts import contract_lock


def test_a_docstring_is_no_part_of_a_message() -> None:
    schema = {"title": "A", "description": "What it is for."}

    assert contract_lock.on_the_wire([schema]) == [{"title": "A"}]


def test_a_field_that_is_called_description_is_part_of_it() -> None:
    schema = {"properties": {"description": {"type": "string"}}}

    assert contract_lock.on_the_wire(schema) == schema
