"""Which of our two languages a caller reads."""

from __future__ import annotations

from services.gateway.bilingual import Language

DEFAULT: Language = "zh"


def language(accepted: str) -> Language:
    """Return the language that an `Accept-Language` header likes best; Chinese if it says nothing.

    Of two liked equally the first named wins.
    """
    wishes = [_wish(part) for part in accepted.split(",")]
    ours = [(weight, tongue) for weight, tongue in wishes if tongue and weight > 0]
    return max(ours, key=lambda wish: wish[0])[1] if ours else DEFAULT


def _wish(part: str) -> tuple[float, Language | None]:
    tag, _, parameter = part.partition(";")
    return _weight(parameter), _tongue(tag.strip().lower())


def _tongue(tag: str) -> Language | None:
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
