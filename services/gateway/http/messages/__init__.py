"""Every text of an answer, by code, in both languages.

Chinese is the default and the language of the API documents; where a document writes a text, it
stands here letter for letter.
"""

from __future__ import annotations

from itertools import chain
from string import Formatter

from services.gateway.bilingual import Language
from services.gateway.http.messages.errors import ERRORS
from services.gateway.http.messages.outcomes import OUTCOMES
from services.gateway.http.messages.policy_rules import POLICY_RULES
from services.gateway.http.messages.reasons import OTHER, RETENTION, RUNS
from services.gateway.http.messages.rules import RULES as _RULES
from services.gateway.http.messages.rules import WORKER_RULES
from services.gateway.http.messages.text import Text


def _takes_values(text: Text) -> bool:
    parts = chain.from_iterable(map(Formatter().parse, text))
    return any(field is not None for _, field, _, _ in parts)


# What an error of bad input may name as its rule; none of them needs a value.
RULES = {
    code: text
    for code, text in {**_RULES, **WORKER_RULES, **POLICY_RULES}.items()
    if not _takes_values(text)
}
TEXTS: dict[str, Text] = {**ERRORS, **_RULES, **WORKER_RULES, **POLICY_RULES, **OUTCOMES}


def translate(code: str, language: Language, **values: object) -> str:
    """Return the text of a code; a code without a text is a bug (KeyError)."""
    template: str = getattr(TEXTS[code], language)
    return template.format_map(values)


def retention_reason(reason: str, language: Language) -> str:
    """Return the text for why a snapshot stays or goes, in a word and its value.

    A host of a later release may give reasons without a text: those stay as they are.
    """
    word, _, value = reason.partition(" ")
    if value.endswith(" oldest"):
        word = "oldest"
    text = RETENTION.get(word)
    return _in(text, language).format(value=value) if text else reason


def run_reason(code: str, language: Language) -> str:
    """Return the text for why a slot of a policy brought no snapshot."""
    return _in(RUNS.get(code, OTHER), language).format(value=code)


def _in(text: Text, language: Language) -> str:
    template: str = getattr(text, language)
    return template
