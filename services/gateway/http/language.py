"""The language that a caller prefers, of the two that there are."""

from __future__ import annotations

from services.gateway.bilingual import Language

DEFAULT: Language = "zh"


def preferred_language(header: str) -> Language:
    """Return the language that an `Accept-Language` header prefers; Chinese if it names neither.

    Of two with the same weight the first one wins.
    """
    weighted = [_weighted(part) for part in header.split(",")]
    known = [(weight, language) for weight, language in weighted if language and weight > 0]
    return max(known, key=lambda each: each[0])[1] if known else DEFAULT


def _weighted(part: str) -> tuple[float, Language | None]:
    tag, _, parameter = part.partition(";")
    return _weight(parameter), _language(tag.strip().lower())


def _language(tag: str) -> Language | None:
    if tag == "*":
        return DEFAULT
    primary = tag.partition("-")[0]
    return "en" if primary == "en" else "zh" if primary == "zh" else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
