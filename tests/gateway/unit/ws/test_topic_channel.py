from __future__ import annotations

import asyncio
import json

import pytest

from services.gateway.ws.change_log import ChangeLog, LogEntry
from services.gateway.ws.protocol import TopicFilter
from services.gateway.ws.topic_channel import PART, TopicChannel

ALL = TopicFilter("instances")


def entry(name: str, value: int | None = 1, host: str = "h1", project: str = "default") -> LogEntry:
    text = None if value is None else str(value).encode()
    return LogEntry(f"{host}/{project}/{name}", host, name, text, project)


def told(view: TopicChannel, position: int) -> tuple[dict[str, int], list[str]]:
    message = view.after(position)
    assert message is not None
    delta = json.loads(message.message.text)
    return delta["changed"], delta["removed"]


def test_all_who_come_to_the_same_state_get_the_same_message() -> None:
    log = ChangeLog()
    log.update([entry("web")])
    view = TopicChannel(ALL, log)

    assert view.state() is view.state()


def test_all_who_are_as_far_get_the_same_message() -> None:
    log = ChangeLog()
    view = TopicChannel(ALL, log)
    log.update([entry("web")])

    assert view.after(0) is view.after(0)


def test_messages_are_made_anew_after_a_change() -> None:
    log = ChangeLog()
    view = TopicChannel(ALL, log)
    log.update([entry("web")])
    before = (view.state(), view.after(0))

    log.update([entry("web", 2)])

    assert json.loads(view.state().message.text)["entries"] == {"h1/default/web": 2}
    assert told(view, 0) == ({"h1/default/web": 2}, [])
    assert before[0].sequence == 1


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (ALL, ["h1/default/db", "h1/default/web", "h2/shop/web"]),
        (TopicFilter("instances", host="h1"), ["h1/default/db", "h1/default/web"]),
        (TopicFilter("instances", name="web"), ["h1/default/web", "h2/shop/web"]),
        (TopicFilter("instances", host="h2", name="web"), ["h2/shop/web"]),
        (TopicFilter("instances", host="nix"), []),
        (TopicFilter("instances", project="default"), ["h1/default/db", "h1/default/web"]),
        (TopicFilter("instances", name="web", project="shop"), ["h2/shop/web"]),
    ],
)
def test_a_view_shows_what_is_wanted_and_nothing_else(
    wanted: TopicFilter, names: list[str]
) -> None:
    log = ChangeLog()
    view = TopicChannel(wanted, log)
    log.update([entry("db"), entry("web"), entry("web", host="h2", project="shop")])

    state = json.loads(view.state().message.text)

    assert sorted(state["entries"]) == names
    assert sorted(told(view, 0)[0]) == names
    named = {field: state[field] for field in ("topic", "host", "name", "project")}
    assert TopicFilter(**named) == wanted


def test_a_state_and_all_later_changes_are_the_later_state() -> None:
    log = ChangeLog()
    view = TopicChannel(ALL, log)
    log.update([entry("a"), entry("b")])
    have = json.loads(view.state().message.text)["entries"]

    log.update([entry("a", 2), entry("c")])
    log.update([entry("b", None)])
    changed, removed = told(view, 1)

    patched = {key: value for key, value in {**have, **changed}.items() if key not in removed}
    assert patched == json.loads(view.state().message.text)["entries"]


def test_only_changes_of_its_part_wake_a_watcher() -> None:
    log, news = ChangeLog(), asyncio.Event()
    view = TopicChannel(TopicFilter("instances", host="h1"), log)
    view.subscribe(news)

    log.update([entry("web", host="h2")])
    woken_by_another = news.is_set()
    log.update([entry("web")])

    assert (woken_by_another, news.is_set()) == (False, True)


def test_a_watcher_that_left_is_not_woken() -> None:
    log, news = ChangeLog(), asyncio.Event()
    view = TopicChannel(ALL, log)
    view.subscribe(news)

    view.unsubscribe(news)
    log.update([entry("web")])

    assert not news.is_set()


def test_a_token_names_a_position() -> None:
    log = ChangeLog()
    log.update([entry("web")])
    view = TopicChannel(ALL, log)

    assert view.sequence_of(view.position_at(1).token) == 1


@pytest.mark.parametrize("token", ["", "1", "-1", "x-1", "{}-2", "{}--1", "{}-x", "{}-" + "9" * 99])
def test_no_other_text_names_a_position(token: str) -> None:
    log = ChangeLog()
    log.update([entry("web")])
    view = TopicChannel(ALL, log)
    source = view.position_at(1).token.partition("-")[0]

    assert view.sequence_of(token.format(source)) is None


def test_a_token_is_good_for_its_own_view_of_its_own_log_only() -> None:
    log, later = ChangeLog(), ChangeLog()
    for each in (log, later):
        each.update([entry("web")])
    token = TopicChannel(ALL, log).position_at(1).token

    assert TopicChannel(TopicFilter("instances", host="h1"), log).sequence_of(token) is None
    assert TopicChannel(ALL, later).sequence_of(token) is None


def test_a_large_state_comes_in_parts_of_which_only_the_last_leads_on() -> None:
    log = ChangeLog()
    log.update([entry(f"i{number}") for number in range(2 * PART + 1)])
    view = TopicChannel(ALL, log)

    sequence, messages = view.state_in_parts()
    first = json.loads(next(messages).text)
    log.update([entry("i0", None), entry("new")])
    *middle, last = [json.loads(message.text) for message in messages]

    assert [each["type"] for each in (first, *middle, last)] == ["state", "delta", "delta"]
    assert [len(first["entries"]), *(len(each["changed"]) for each in (*middle, last))] == [
        PART,
        PART,
        1,
    ]
    assert [view.sequence_of(each["token"]) for each in (first, *middle, last)] == [None, None, 1]
    assert sequence == 1
    assert told(view, sequence) == ({"h1/default/new": 1}, ["h1/default/i0"])


def test_a_state_that_fits_into_a_message_is_one() -> None:
    log = ChangeLog()
    log.update([entry(f"i{number}") for number in range(PART)])
    view = TopicChannel(ALL, log)

    _, messages = view.state_in_parts()

    assert list(messages) == [view.state().message]
