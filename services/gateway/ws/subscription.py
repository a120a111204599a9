"""How far one viewer has come in what it watches.

It is told with every ping too: a quiet part's own messages are old, and so are their positions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.gateway.ws.frames import FramedMessage
from services.gateway.ws.topic_channel import Position, Reason, TopicChannel


class Subscription:
    """A viewer's position in a view; `news` is set when there is more to tell."""

    def __init__(
        self, view: TopicChannel, leave: Callable[[], None], news: asyncio.Event, after: str | None
    ) -> None:
        self._view = view
        self._leave = leave
        self._news = news
        self._position = None if after is None else view.position(after)
        self._resumes = self._position is not None
        self._lost: Reason | None = "unknown_position" if after and not self._resumes else None
        view.watch(news)
        news.set()

    def messages(self) -> list[FramedMessage]:
        """Return what is to be told now; it counts as told.

        Who resumes is told something even if nothing happened since.
        """
        if self._position is None:
            return self._everything()
        message = self._view.after(self._position)
        if message is None:
            self._lost = "too_old"
            return self._everything()
        told = self._resumes or not message.idle
        self._position, self._resumes = message.sequence, False
        return [message.said] if told else []

    def position(self) -> Position | None:
        """Return the position of what was told last; None before that."""
        return None if self._position is None else self._view.at(self._position)

    def end(self) -> None:
        """Watch no more."""
        self._view.leave(self._news)
        self._leave()

    def _everything(self) -> list[FramedMessage]:
        state = self._view.state()
        lost = [self._view.resync(self._lost)] if self._lost else []
        self._position, self._resumes, self._lost = state.sequence, False, None
        return [*lost, state.said]
