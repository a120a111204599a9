from __future__ import annotations

import inspect

import pytest

from services.gateway.bilingual import Language, both, in_language, is_chinese


def documented() -> None:
    """Return nothing.

    It has a second paragraph.

    不返回任何内容。
    """


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        (both("主机数", "Number of hosts"), "主机数", "Number of hosts"),
        (both("a、b", "a, b"), "a、b", "a, b"),
        (both("id", "id"), "id", "id"),
        ("Only English.\n\nOf two paragraphs.",) * 3,
        ("只有中文。\n\n共两段。",) * 3,
        (
            inspect.cleandoc(documented.__doc__ or ""),
            "不返回任何内容。",
            "Return nothing.\n\nIt has a second paragraph.",
        ),
    ],
)
def test_a_text_is_read_in_one_language(text: str, zh: str, en: str) -> None:
    assert in_language(text, "zh") == zh
    assert in_language(text, "en") == en


@pytest.mark.parametrize(("language", "text"), [("zh", "名称"), ("en", "Name")])
def test_all_texts_of_a_document_are_read_and_nothing_else_is_changed(
    language: Language, text: str
) -> None:
    name = both("名称", "Name")
    document = {"a": [name, {"b": name}], "c": 1, "d": None, "e": True}

    assert in_language(document, language) == {
        "a": [text, {"b": text}],
        "c": 1,
        "d": None,
        "e": True,
    }


@pytest.mark.parametrize("text", ["主", "a、b", "（a）", "㐀"])
def test_punctuation_is_chinese_too(text: str) -> None:
    assert is_chinese(text)


@pytest.mark.parametrize("text", ["", "id", "µ ± — “quoted”", "é"])
def test_what_is_not_chinese(text: str) -> None:
    assert not is_chinese(text)
