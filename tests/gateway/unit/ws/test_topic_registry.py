from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from services.gateway.ws.protocol import Topic, TopicFilter
from services.gateway.ws.topic_channel import TopicChannel
from services.gateway.ws.topic_registry import ClientProfile, TopicLanguage, TopicRegistry
from services.gateway.ws.topic_sources import MOST_AT_ONCE
from tests.support.gateway import FakeFleet, FakeOperations
from tests.support.polling import eventually
from tests.support.views import a_view


def audience(*, secrets: bool = True, language: str = "zh") -> ClientProfile:
    return ClientProfile(
        secrets, TopicLanguage(language, str, lambda operation: operation.state, str)
    )


def topics(fleet: FakeFleet, linger_s: float = 60.0) -> TopicRegistry:
    return TopicRegistry(fleet, FakeOperations(), lambda: datetime.now(UTC), linger_s)


async def entered(all_topics: TopicRegistry, topic: Topic, who: ClientProfile) -> TopicChannel:
    view, _ = await all_topics.acquire(TopicFilter(topic), who)
    return view


async def test_all_who_want_the_same_share_a_view() -> None:
    shared = topics(FakeFleet())

    first = await entered(shared, "instances", audience())
    second = await entered(shared, "instances", audience(language="en"))

    assert first is second


async def test_who_may_not_see_passwords_reads_another_log() -> None:
    shared = topics(FakeFleet())

    clear = await entered(shared, "instances", audience())
    masked = await entered(shared, "instances", audience(secrets=False))

    assert "password123" in clear.state().message.text
    assert "password123" not in masked.state().message.text


async def test_operations_are_told_in_the_callers_language() -> None:
    shared = topics(FakeFleet())

    chinese = await entered(shared, "operations", audience())
    english = await entered(shared, "operations", audience(language="en"))

    assert chinese is not english


async def test_many_who_come_at_once_begin_one_log() -> None:
    fleet = FakeFleet()
    shared = topics(fleet)

    views = await asyncio.gather(
        *[entered(shared, "operations", audience()) for _ in range(20)],
        *[entered(shared, "instances", audience()) for _ in range(20)],
    )

    assert len(set(views)) == 2
    assert fleet.reads == 1


async def test_nobody_who_watches_costs_nothing() -> None:
    fleet = FakeFleet()
    shared = topics(fleet, linger_s=0.02)
    idle = fleet.watched
    view, leave = await shared.acquire(TopicFilter("instances"), audience())
    watched = fleet.watched

    del view
    leave()

    assert watched > idle
    await eventually(lambda: fleet.watched == idle)


async def test_a_log_outlives_its_only_viewers_absence() -> None:
    fleet = FakeFleet()
    shared = topics(fleet)
    view, leave = await shared.acquire(TopicFilter("instances"), audience())
    token = view.position_at(1).token
    del view
    leave()

    fleet.change(instances=[a_view("new")])
    await asyncio.sleep(0.02)
    back = await entered(shared, "instances", audience())

    assert back.sequence_of(token) == 1
    assert '"h1/default/new"' in str(back.after(1))


async def test_who_comes_back_in_time_keeps_the_log() -> None:
    fleet = FakeFleet()
    shared = topics(fleet, linger_s=0.02)
    idle = fleet.watched
    _, leave = await shared.acquire(TopicFilter("instances"), audience())
    leave()

    await entered(shared, "instances", audience())
    await asyncio.sleep(0.06)

    assert fleet.watched > idle


async def test_a_topic_whose_first_client_gives_up_is_watched_by_nobody() -> None:
    fleet = FakeFleet(known_instances=[a_view(f"i{n}") for n in range(3 * MOST_AT_ONCE)])
    shared = topics(fleet)
    idle = fleet.watched

    entering = asyncio.create_task(entered(shared, "instances", audience()))
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)

    assert fleet.watched == idle
    assert (await entered(shared, "instances", audience())).state().sequence
