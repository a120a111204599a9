"""One text in both languages."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """A text in Chinese and in English; it may name values as `{name}`."""

    zh: str
    en: str
