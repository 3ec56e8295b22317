"""Erasing people who are in journeys, on the real server: their histories go, however long Temporal takes."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel
from sqlmodel import select as select_rows
from temporalio.client import Client, WorkflowHandle

from events.erase import erase_for_ever, finish
from store.impersonal import Erasure
from store.tables import MailboxItem
from tests.language.words import Entered, Left, Replied, Tapped, days, say
from tests.stage import Stage, eventually, only
from workflows.definition import journey
from workflows.journey import Journey

UNTIL_THE_SERVER_LETS_GO = 150.0  # seconds: what has just closed it deletes only once its queues have moved on

BY = {"X-Actor": "eve", "X-Reason": "asked by letter"}


@journey(exits_on=Left)
async def greets_and_waits(j: Journey, entered: Entered) -> None:
    await j.send(say(f"{j.traits.get('city')}"))
    await j.wait_for(Tapped, within=days(2))
    await j.wait_for(Replied, within=days(2))


async def histories(client: Client, queue: str) -> str:
    """Return the decoded histories of every execution on a task queue, and what is listed of them."""
    told = []
    async for each in client.list_workflows(f"TaskQueue = '{queue}'"):
        handle: WorkflowHandle[object, object] = client.get_workflow_handle(each.id, run_id=each.run_id)
        told += [str(each.raw_info), str(await handle.fetch_history())]
    return "\n".join(told)


async def rows(house: Stage) -> str:
    async with house.store.read() as session:
        connection = await session.connection()
        found = [row for table in SQLModel.metadata.sorted_tables for row in await connection.execute(select(table))]
    return "\n".join(str(tuple(row)) for row in found)


async def in_a_journey(house: Stage, city: str) -> str:
    user = await house.somebody()
    await house.identify(user, traits={"city": city})
    await house.track(user, Entered())
    await house.started(user)
    await house.settled(user)
    return user


async def test_an_erased_person_is_in_no_history_and_no_row(house: Stage) -> None:
    with only([greets_and_waits]):
        user = await in_a_journey(house, "Marylebone-1815")
        stays = await in_a_journey(house, "Turin-1840")
        queue = house.settings.task_queue

        async def listed() -> bool:
            return user in await histories(house.temporal, queue)

        await eventually(listed)
        before = await histories(house.temporal, queue) + await rows(house)
        assert user in before
        assert "Marylebone-1815" in before
        answer = await house.api.delete(f"/v1/users/{user}", headers=BY)
        assert answer.is_success
        await eventually(lambda: finish(house.store, house.temporal), UNTIL_THE_SERVER_LETS_GO)
        after = await histories(house.temporal, queue) + await rows(house)
        assert user not in after
        assert "Marylebone-1815" not in after
        assert stays in after
        assert (await house.api.get(f"/v1/users/{user}")).status_code == 404
        await house.track(user, Entered())
        assert await house.runs(user) == []
        await house.track(stays, Left())
        await house.over(stays)


@pytest.mark.soak
async def test_executions_that_were_continued_go_too(house_that_continues: Stage) -> None:
    house = house_that_continues
    with only([greets_and_waits]):
        user = await in_a_journey(house, "Marylebone-1815")
        await house.track(user, Tapped(button="a"))
        await house.settled(user)
        answer = await house.api.delete(f"/v1/users/{user}", headers=BY)
        assert (answer.status_code, answer.json()["histories_deleted"]) == (202, False)
        async with asyncio.timeout(UNTIL_THE_SERVER_LETS_GO), asyncio.TaskGroup() as tasks:
            finishing = tasks.create_task(erase_for_ever(house.store, house.temporal))
            while user in await rows(house):
                await asyncio.sleep(1)
            finishing.cancel()
        assert user not in await histories(house.temporal, house.settings.task_queue)


async def test_an_id_with_quotes_is_erased_like_another(house: Stage) -> None:
    with only([greets_and_waits]):
        user = 'o\'neil\\ "x" ' + await house.somebody()
        await house.identify(user)
        await house.track(user, Entered())
        await house.started(user)
        await house.settled(user)
        await house.api.delete(f"/v1/users/{user}", headers=BY)
        await eventually(lambda: finish(house.store, house.temporal), UNTIL_THE_SERVER_LETS_GO)
        assert user not in await histories(house.temporal, house.settings.task_queue)


async def test_what_is_being_sent_to_the_erased_is_not_sent(house: Stage) -> None:
    with only([greets_and_waits]):
        user = await house.somebody()
        await house.track(user, Entered())
        await house.started(user)
        await asyncio.gather(house.api.delete(f"/v1/users/{user}", headers=BY), house.track(user, Tapped(button="a")))
        await eventually(lambda: finish(house.store, house.temporal), UNTIL_THE_SERVER_LETS_GO)
        async with house.store.read() as session:
            assert [item for item in (await session.exec(select_rows(MailboxItem))).all() if user in item.recipient] == []
            assert (await session.exec(select_rows(Erasure))).all() == []
        assert user not in await rows(house)
