from __future__ import annotations

import pytest

from services.gateway.http.language import preferred_language


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "zh"),
        ("en", "en"),
        ("EN-us", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr,en;q=0.5,zh;q=0.4", "en"),
        ("en;q=0.4,zh;q=0.5", "zh"),
        ("en,zh", "en"),
        ("*", "zh"),
        ("de,*;q=0.1", "zh"),
        ("de", "zh"),
        ("en;q=0", "zh"),
        ("en;q=high", "zh"),
        ("english", "zh"),
        (";;,,q=", "zh"),
    ],
)
def test_the_best_liked_of_our_languages_is_taken_and_chinese_else(
    accepted: str, expected: str
) -> None:
    assert preferred_language(accepted) == expected
