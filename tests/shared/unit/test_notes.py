from __future__ import annotations

import pytest

from shared.contracts.notes import Note, mask_password, note_of, rename_note


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("web 20144 S3cretPw 30100 30125", Note("web", 20144, "S3cretPw", (30100, 30125))),
        ("web 20144 S3cretPw", Note("web", 20144, "S3cretPw", None)),
        (" web\t20144  - 30100 30100 ", Note("web", 20144, None, (30100, 30100))),
    ],
)
def test_a_note_says_how_an_instance_is_reached(text: str, note: Note) -> None:
    assert note_of(text) == note


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web",
        "web 20144",
        "web ssh pw",
        "web 0 pw",
        "web 65536 pw",
        "web 20144 pw 30100",
        "a b c",
    ],
)
def test_any_other_text_is_none(text: str) -> None:
    assert (note_of(text), mask_password(text), rename_note(text, "web", "shop")) == (
        None,
        text,
        text,
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("test1 20001 pass 30000 30025", "test1 20001 ******** 30000 30025"),
        ("another 20001 pass 30000 30025", "another 20001 ******** 30000 30025"),
        ("test1  20001 20001", "test1  20001 ********"),
        (" test1 20001 秘密", " test1 20001 ********"),
        ("test1 20001 - 30000 30025", "test1 20001 - 30000 30025"),
    ],
)
def test_masking_hides_the_password_and_nothing_else(text: str, shown: str) -> None:
    assert mask_password(text) == shown


def test_a_new_name_takes_the_place_of_the_old_one_alone() -> None:
    assert rename_note(" web  20144 web", "web", "shop") == " shop  20144 web"
    assert rename_note("other 20144 pw", "web", "shop") == "other 20144 pw"
