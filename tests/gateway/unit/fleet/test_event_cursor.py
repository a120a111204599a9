import pytest

from services.gateway.fleet.event_cursor import EventCursor


def complete(sequence: int) -> EventCursor:
    return EventCursor(epoch=1, sequence=sequence, complete=True)


@pytest.mark.parametrize(
    ("sequence", "new", "still_complete", "place"),
    [
        (6, True, True, 6),
        (7, True, False, 7),
        (5, False, True, 5),
        (1, False, True, 5),
    ],
)
def test_an_event_is_new_if_its_number_is_higher_and_leaves_a_gap_if_one_was_left_out(
    sequence: int, new: bool, still_complete: bool, place: int
) -> None:
    cursor = complete(5)

    assert cursor.advance(sequence) is new

    assert (cursor.complete, cursor.sequence) == (still_complete, place)


@pytest.mark.parametrize(("published", "still_complete"), [(4, True), (5, True), (6, False)])
def test_hearing_of_a_later_event_shows_a_gap(published: int, still_complete: bool) -> None:
    cursor = complete(5)

    cursor.record_published(published)

    assert cursor.complete is still_complete
    assert cursor.sequence == 5


def test_an_inventory_closes_every_gap() -> None:
    cursor = complete(5)
    cursor.advance(9)

    assert cursor.advance_to_inventory(10)

    assert cursor.complete


def test_an_inventory_older_than_what_was_read_is_not_taken() -> None:
    cursor = complete(5)

    assert not cursor.advance_to_inventory(5)


def test_a_newer_epoch_begins_with_everything_missing() -> None:
    cursor = complete(5)

    assert cursor.start_epoch(2)

    assert (cursor.sequence, cursor.complete) == (0, False)


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_same_or_an_older_epoch_begins_nothing(epoch: int) -> None:
    cursor = complete(5)

    assert not cursor.start_epoch(epoch)

    assert cursor.complete
