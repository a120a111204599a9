"""Texts in both languages, as the description of the API is made of them.

FastAPI, pydantic and msgspec carry a description, a summary or a tag as one string. Here it holds
both languages, paragraph by paragraph, and `in_language` leaves those of one. So a text and its
translation stand side by side, in a call of `both` or in a docstring.
"""

from __future__ import annotations

import re
from typing import Any, Literal

Language = Literal["zh", "en"]

_PARAGRAPHS = "\n\n"
# Ideographs, and the punctuation that goes with them.
_CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]")


def both(zh: str, en: str) -> str:
    """Return a text that `in_language` can make Chinese or English."""
    return zh if zh == en else f"{zh}{_PARAGRAPHS}{en}"


def is_chinese(text: str) -> bool:
    """Whether there is anything Chinese in a text."""
    return _CHINESE.search(text) is not None


def in_language(value: Any, language: Language) -> Any:
    """Return a copy of a JSON document with each text in one language.

    A text that is in one language only stays as it is.
    """
    if isinstance(value, str):
        return _paragraphs(value, language)
    if isinstance(value, list):
        return [in_language(each, language) for each in value]
    if isinstance(value, dict):
        return {key: in_language(each, language) for key, each in value.items()}
    return value


def _paragraphs(text: str, language: Language) -> str:
    if _PARAGRAPHS not in text:
        return text
    every = text.split(_PARAGRAPHS)
    fitting = [each for each in every if is_chinese(each) == (language == "zh")]
    return _PARAGRAPHS.join(fitting or every)
