"""Journeys that must be refused: by which rule, and at the line that ends in `#!`."""

from collections.abc import Sequence

PRELUDE = """
import datetime as dt
from datetime import UTC, date, datetime, time, timedelta
from journeys.events import ProjectCreated, SignedUp
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email, Push
DAY = timedelta(days=1)
COUNTS = {}
"""


def body(lines: str) -> str:
    """Return a file whose journey has these lines."""
    indented = "\n".join("    " + line for line in lines.splitlines())
    return f"{PRELUDE}\n@journey()\nasync def onboarding(j: Journey, signed_up: SignedUp) -> None:\n{indented}\n"


def file(lines: str) -> str:
    """Return a file that holds these lines beside the usual imports."""
    return f"{PRELUDE}\n{lines}\n"


BAD: Sequence[tuple[str, str]] = (
    ("forbidden-import", file("import requests  #!")),
    ("forbidden-import", file("import os.path  #!")),
    ("forbidden-import", file("from random import choice  #!")),
    ("forbidden-import", file("from collections import Counter  #!")),
    ("forbidden-import", file("import activities.send  #!")),
    ("forbidden-import", file("import mathematics  #!")),
    ("forbidden-import", body("import json  #!\nawait j.send(Email('a', json.loads('{}')))")),
    ("forbidden-import", file("from datetime import *  #!")),
    ("forbidden-import", file("from workflows.definition import *  #!")),
    ("wall-clock", body("at = datetime.now(UTC)  #!")),
    ("wall-clock", body("at = dt.datetime.utcnow()  #!")),
    ("wall-clock", body("if date.today().weekday() == 0:  #!\n    await j.send(Email('monday'))")),
    ("wall-clock", file("class Moved(Event):\n    at: float = dt.datetime.now().timestamp()  #!")),
    ("wall-clock", file("now = dt.datetime.now  #!")),
    ("randomness", body("import random  #!\nif random.random() < 0.5:  #!\n    return")),
    ("randomness", body("from uuid import uuid4  #!\nawait j.send(Email('a', {'id': str(uuid4())}))  #!")),
    ("input-output", body("print('sent')  #!")),
    ("input-output", body("words = open('copy.txt').read()  #!")),
    ("input-output", body("eval('1')  #!")),
    ("input-output", file("def shown(x: object) -> None:\n    print(x)  #!")),
    ("identity", body("if hash(j.user.id) % 2:  #!\n    return")),
    ("identity", body("seen = id(signed_up)  #!")),
    ("set-order", body("for area in {'docs', 'src'}:  #!\n    await j.send(Email(area))")),
    ("set-order", body("areas = {e.id for e in j.seen(ProjectCreated)}\nawait j.send(Email('a', {'in': list(areas)}))  #!")),
    ("set-order", body("areas = {e.id for e in j.seen(ProjectCreated)}\nfirst = next(iter(areas))  #!")),
    ("set-order", body("areas = {e.id for e in j.seen(ProjectCreated)}\ntext = ', '.join(areas)  #!")),
    ("set-order", body("areas = set(['docs'])\nleft = areas - {'src'}\ndone = [a for a in left]  #!")),
    ("set-order", body("areas = {'docs', 'src'}\nawait j.send(Email(f'{areas}'))  #!")),
    ("set-order", body("a, b = {'docs', 'src'}  #!")),
    ("set-order", body("areas = {'docs', 'src'}\none = areas.pop()  #!")),
    ("set-order", body("areas = {'docs', 'src'}\ntold = sorted(areas, key=len)  #!")),
    ("set-order", file("AREAS = frozenset({'docs'})\ndef first() -> str:\n    return max(*AREAS)  #!")),
    ("set-order", file("def all_of(areas: set[str]) -> list[str]:\n    return [a for a in areas]  #!")),
    ("naive-datetime", body("await j.until(datetime(2030, 1, 1, 9))  #!")),
    ("naive-datetime", body("await j.until(dt.datetime(2030, 1, 1, tzinfo=None))  #!")),
    ("naive-datetime", body("at = datetime.combine(j.now.date(), time(9))  #!")),
    ("naive-datetime", body("at = datetime.fromtimestamp(0)  #!")),
    ("naive-datetime", body("at = datetime.strptime('2030', '%Y')  #!")),
    ("naive-datetime", body("at = datetime.fromisoformat('2030-01-01T09:00')  #!")),
    ("naive-datetime", body("at = j.now.replace(tzinfo=None)  #!")),
    ("naive-datetime", body("at = j.now.astimezone()  #!")),
    ("naive-field", file("class Booked(Event):\n    id: str\n    at: datetime | None  #!")),
    ("swallowed-exit", body("try:\n    await j.send(Email('a'))\nexcept:  #!\n    pass")),
    ("swallowed-exit", body("try:\n    await j.send(Email('a'))\nexcept BaseException:  #!\n    pass")),
    ("swallowed-exit", body("try:\n    await j.send(Email('a'))\nexcept (KeyError, Exception) as error:  #!\n    raise")),
    ("verb-in-finally", body("try:  #!\n    await j.sleep(DAY)\nfinally:\n    done = True")),
    ("verb-in-finally", body("try:  #!\n    x = 1\nfinally:\n    await j.send(Email('a'))")),
    ("unawaited-verb", body("j.send(Email('a'))  #!")),
    ("unawaited-verb", body("waiting = j.wait_for(ProjectCreated, within=DAY)  #!")),
    ("misplaced-verb", body("sent = [await j.send(Email(name)) for name in ('a', 'b')]  #!")),
    ("misplaced-verb", body("async def twice() -> None:\n    await j.send(Email('a'))  #!")),
    ("misplaced-verb", body("later = lambda: j.sleep(DAY)  #!")),
    ("foreign-await", body("import asyncio  #!\nawait asyncio.sleep(1)  #!")),
    ("foreign-await", body("async for event in stream():  #!\n    await j.send(Email('a'))")),
    ("passed-on", body("nudge(j)  #!")),
    ("passed-on", body("send = getattr(j, 'send')  #!")),
    ("passed-on", body("log = j.memory.log  #!")),
    ("passed-on", body("send = j.send  #!")),
    ("passed-on", body("each = tuple(map(j.send, (Email('a'), Push('b'))))  #!")),
    ("passed-on", body("j = None  #!")),
    ("shared-state", body("global COUNTS  #!\nawait j.send(Email('a'))")),
    ("shared-state", body("COUNTS[j.user.id] = 1  #!")),
    ("shared-state", body("COUNTS.update({j.user.id: 1})  #!")),
    ("shared-state", body("DAY.cache = 1  #!")),
    ("endless-loop", body("while True:  #!\n    pass")),
    ("endless-loop", body("while not j.seen(ProjectCreated):  #!\n    tried = 1")),
    ("endless-loop", body("until = j.now + DAY\nwhile j.now < until:  #!\n    pass")),
    ("undrawable", body("with suppress(KeyError):  #!\n    await j.send(Email('a'))")),
    ("undrawable", body("try:  #!\n    await j.send(Email('a'))\nexcept KeyError:\n    pass")),
    ("undrawable", body("copy = await j.split('copy', {name: Email(name) for name in NAMES})  #!")),
    ("syntax", file("async def onboarding(j: Journey  #!\n    return")),
)

# What is also refused at a marked line, beside the rule that the case is for.
ALSO = {"forbidden-import", "unawaited-verb"}
