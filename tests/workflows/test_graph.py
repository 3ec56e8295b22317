"""A journey's picture says what its source does, and what cannot be drawn is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.workflows.drawn import HEAD, drawn
from workflows.drawing import Undrawable
from workflows.picture import Graph


def told(picture: Graph) -> list[str]:
    """Tell every step of the picture in a line: from what, on what, to what."""
    labels = {node.id: node.label for node in picture.nodes}
    arrow = {False: "->", True: "~>"}
    return [
        f"{labels[edge.source]} {f'[{edge.label}] ' if edge.label else ''}{arrow[edge.loose]} {labels[edge.target]}"
        for edge in picture.edges
    ]


MERMAID = """flowchart TD
  n0(["signed_up or invited"])
  n1(["Plan Upgraded"])
  n2(["project_created"])
  n3["send email welcome"]
  n4{{"wait for project_created, 3 days"}}
  n5["send email tips"]
  n6(("end"))
  n7("until 09:00")
  n8[/"split nudge-copy"/]
  n9["send push nudge"]
  n10["send push nudge_social"]
  n11(("end"))
  n0 -.->|"exits at any time on"| n1
  n0 -.->|"goal"| n2
  n0 --> n3
  n3 --> n4
  n4 -->|"happened"| n5
  n5 --> n6
  n4 -->|"not in time"| n7
  n7 --> n8
  n8 -->|"plain"| n9
  n8 -->|"social"| n10
  n9 --> n11
  n10 --> n11
"""


def test_the_journey_of_the_design_page(tmp_path: Path) -> None:
    lines = """
await j.send(Email("welcome"))

if await j.wait_for(ProjectCreated, within=timedelta(days=3)):
    await j.send(Email("tips"))
    return

await j.until(time(9))
nudge = await j.split("nudge-copy", {"plain": Push("nudge"), "social": Push("nudge_social")})
await j.send(nudge)
"""
    picture = drawn(tmp_path, lines, "exits_on=Upgraded, goal=ProjectCreated", "SignedUp | Invited")
    assert told(picture) == [
        "signed_up or invited [exits at any time on] ~> Plan Upgraded",
        "signed_up or invited [goal] ~> project_created",
        "signed_up or invited -> send email welcome",
        "send email welcome -> wait for project_created, 3 days",
        "wait for project_created, 3 days [happened] -> send email tips",
        "send email tips -> end",
        "wait for project_created, 3 days [not in time] -> until 09:00",
        "until 09:00 -> split nudge-copy",
        "split nudge-copy [plain] -> send push nudge",
        "split nudge-copy [social] -> send push nudge_social",
        "send push nudge -> end",
        "send push nudge_social -> end",
    ]
    assert picture.mermaid() == MERMAID


def test_a_node_knows_the_line_it_is_written_in(tmp_path: Path) -> None:
    picture = drawn(tmp_path, 'await j.sleep(WEEK)\nawait j.send(\n    Email("a"))')
    first = HEAD.count("\n") + 4
    assert [(node.kind, node.line) for node in picture.nodes[1:3]] == [("sleep", first), ("send", first + 1)]


SHAPES = {
    "a wait that is held, and asked about later": (
        "created = await j.wait_for(ProjectCreated, within=WEEK)\nkind = 1\nif created is None:\n    await j.send(Email('late'))",
        [
            "signed_up -> wait for project_created, 7 days",
            "wait for project_created, 7 days [not in time] -> send email late",
            "send email late -> end",
            "wait for project_created, 7 days [happened] -> end",
        ],
    ),
    "a wait for what happens to a message": (
        "receipt = await j.send(Email('a'))\nif await j.wait_for(MessageOpened, of=receipt, within=WEEK):\n    await j.sleep(WEEK)",
        [
            "signed_up -> send email a",
            "send email a -> wait for message_opened of receipt, 7 days",
            "wait for message_opened of receipt, 7 days [happened] -> sleep 7 days",
            "sleep 7 days -> end",
            "wait for message_opened of receipt, 7 days [not in time] -> end",
        ],
    ),
    "a wait that is not asked about": (
        "await j.wait_for(ProjectCreated, within=WEEK)\nawait j.send(Email('a'))",
        [
            "signed_up -> wait for project_created, 7 days",
            "wait for project_created, 7 days [either way] -> send email a",
            "send email a -> end",
        ],
    ),
    "if not await": (
        "if not await j.wait_for(ProjectCreated, within=WEEK):\n    await j.send(Email('late'))\nelse:\n    return",
        [
            "signed_up -> wait for project_created, 7 days",
            "wait for project_created, 7 days [not in time] -> send email late",
            "wait for project_created, 7 days [happened] -> end",
            "send email late -> end",
        ],
    ),
    "a walrus": (
        "if created := await j.wait_for(ProjectCreated, within=WEEK):\n    await j.send(Email(created.kind))",
        [
            "signed_up -> wait for project_created, 7 days",
            "wait for project_created, 7 days [happened] -> send email {created.kind}",
            "send email {created.kind} -> end",
            "wait for project_created, 7 days [not in time] -> end",
        ],
    ),
    "a name that has been given another value": (
        "created = await j.wait_for(ProjectCreated, within=WEEK)\ncreated = 1\nif created:\n    await j.send(Email('a'))",
        [
            "signed_up -> wait for project_created, 7 days",
            "wait for project_created, 7 days [either way] -> created?",
            "created? [yes] -> send email a",
            "send email a -> end",
            "created? [no] -> end",
        ],
    ),
    "a loop while events come": (
        "while await j.wait_for(ProjectCreated, within=WEEK):\n    await j.send(Email('a'))\nawait j.send(Email('b'))",
        [
            "signed_up -> wait for project_created, 7 days",
            "wait for project_created, 7 days [happened] -> send email a",
            "send email a -> wait for project_created, 7 days",
            "wait for project_created, 7 days [not in time] -> send email b",
            "send email b -> end",
        ],
    ),
    "a loop without end, but for break and continue": (
        "while True:\n    await j.sleep(WEEK)\n    if j.seen(Invited):\n        break\n"
        "    if j.seen(Upgraded):\n        continue\n    await j.send(Email('a'))",
        [
            "signed_up -> sleep 7 days",
            "sleep 7 days -> j.seen(Invited)?",
            "j.seen(Invited)? [no] -> j.seen(Upgraded)?",
            "j.seen(Upgraded)? [yes] -> sleep 7 days",
            "j.seen(Upgraded)? [no] -> send email a",
            "send email a -> sleep 7 days",
            "j.seen(Invited)? [yes] -> end",
        ],
    ),
    "a loop over constants": (
        "for template, days in REMINDERS:\n    await j.send(Email(template))\n"
        "    await j.sleep(timedelta(days=days))\nelse:\n    await j.send(Email('z'))",
        [
            "signed_up -> for each template, days in REMINDERS",
            "for each template, days in REMINDERS [next] -> send email missed_you or email last_call",
            "send email missed_you or email last_call -> sleep timedelta(days=days)",
            "sleep timedelta(days=days) -> for each template, days in REMINDERS",
            "for each template, days in REMINDERS [done] -> send email z",
            "send email z -> end",
        ],
    ),
    "a loop over messages": (
        "for message in (Push('a'), Sms('b')):\n    if (await j.send(message)).status == 'sent':\n        return",
        [
            "signed_up -> for each of push a, sms b",
            "for each of push a, sms b [next] -> send push a or sms b",
            "send push a or sms b [sent] -> end",
            "send push a or sms b [not sent] -> for each of push a, sms b",
            "for each of push a, sms b [done] -> end",
        ],
    ),
    "a loop by number": (
        "for _ in range(3):\n    await j.sleep(WEEK)",
        ["signed_up -> 3 times", "3 times [next] -> sleep 7 days", "sleep 7 days -> 3 times", "3 times [done] -> end"],
    ),
    "a match on a wait": (
        "match await j.wait_for(ProjectCreated, Upgraded, within=WEEK):\n"
        "    case ProjectCreated(kind='web'):\n        await j.send(Email('web'))\n"
        "    case ProjectCreated(kind=kind):\n        await j.send(Email('any'))\n"
        "    case Upgraded() as up if up.plan:\n        return\n    case None:\n"
        "        await j.send(Email('late'))",
        [
            "signed_up -> wait for project_created or Plan Upgraded, 7 days",
            "wait for project_created or Plan Upgraded, 7 days [project_created, kind 'web'] -> send email web",
            "wait for project_created or Plan Upgraded, 7 days [project_created] -> send email any",
            "wait for project_created or Plan Upgraded, 7 days [Plan Upgraded] -> up.plan?",
            "up.plan? [yes] -> end",
            "wait for project_created or Plan Upgraded, 7 days [not in time] -> send email late",
            "send email web -> end",
            "send email any -> end",
            "send email late -> end",
            "up.plan? [no] -> end",
        ],
    ),
    "a match on something else": (
        "match signed_up.plan:\n    case 'pro' | 'team':\n        await j.send(Email('a'))\n    case 'free':\n        return",
        [
            "signed_up -> signed_up.plan",
            "signed_up.plan [pro or team] -> send email a",
            "signed_up.plan [free] -> end",
            "send email a -> end",
            "signed_up.plan [otherwise] -> end",
        ],
    ),
    "guards in a match": (
        "match signed_up.plan:\n    case 'pro' if signed_up.seats:\n        await j.send(Email('a'))\n"
        "    case 'free':\n        await j.send(Email('b'))\n    case _ if signed_up.seats:\n        return\n"
        "    case 'pro' | 'team':\n        await j.send(Email('c'))",
        [
            "signed_up -> signed_up.plan",
            "signed_up.plan [pro] -> signed_up.seats?",
            "signed_up.seats? [yes] -> send email a",
            "signed_up.plan [free] -> send email b",
            "signed_up.plan [otherwise] -> signed_up.seats?",
            "signed_up.seats? [no] -> signed_up.seats?",
            "signed_up.seats? [yes] -> end",
            "signed_up.seats? [no] -> send email c",
            "send email a -> end",
            "send email b -> end",
            "send email c -> end",
            "signed_up.seats? [no] -> end",
        ],
    ),
    "a case of which one half asks for more": (
        "match await j.wait_for(ProjectCreated, SignedUp, within=timedelta(days=DAYS)):\n"
        "    case ProjectCreated(kind='a') | ProjectCreated(kind='b') | None:\n        return\n"
        "    case SignedUp(plan='c') | SignedUp():\n        await j.send(Email('a'))\n"
        "    case _:\n        await j.send(Email('b'))",
        [
            "signed_up -> wait for project_created or signed_up, 3 days",
            "wait for project_created or signed_up, 3 days [project_created, kind 'a' or kind 'b'] -> end",
            "wait for project_created or signed_up, 3 days [not in time] -> end",
            "wait for project_created or signed_up, 3 days [signed_up] -> send email a",
            "wait for project_created or signed_up, 3 days [project_created] -> send email b",
            "send email a -> end",
            "send email b -> end",
        ],
    ),
    "a split into constants": (
        "tone = await j.split('tone', {'warm': 'warm', 'dry': 'dry'}, {'warm': 3, 'dry': 1})\n"
        "if tone == 'warm':\n    await j.send(Email('a'))",
        ["signed_up -> split tone", "split tone [warm] -> send email a", "send email a -> end", "split tone [dry] -> end"],
    ),
    "a match on a split": (
        "match await j.split('tone', {'w': 'warm', 'd': 'dry'}):\n    case 'warm':\n"
        "        await j.send(Email('a'))\n    case _:\n        return",
        ["signed_up -> split tone", "split tone [w] -> send email a", "split tone [d] -> end", "send email a -> end"],
    ),
    "a split between other steps": (
        "letter = await j.split('copy', COPY)\nawait j.until(time(9))\nawait j.send(letter)",
        [
            "signed_up -> split copy",
            "split copy [short] -> until 09:00",
            "split copy [long] -> until 09:00",
            "until 09:00 -> send push brief or email letter",
            "send push brief or email letter -> end",
        ],
    ),
    "a send of a split": (
        "await j.send(await j.split('copy', COPY))",
        [
            "signed_up -> split copy",
            "split copy [short] -> send push brief",
            "split copy [long] -> send email letter",
            "send push brief -> end",
            "send email letter -> end",
        ],
    ),
    "a receipt": (
        "receipt = await j.send(Email('a'))\nif receipt.status != 'sent':\n    await j.send(Sms('a'))",
        ["signed_up -> send email a", "send email a [not sent] -> send sms a", "send sms a -> end", "send email a [sent] -> end"],
    ),
    "a condition that goes no further than it must": (
        "if signed_up.plan and (await j.send(Push('a'))).status != 'sent' or await j.wait_for(Invited, within=WEEK):\n"
        "    await j.send(Email('b'))",
        [
            "signed_up -> signed_up.plan?",
            "signed_up.plan? [yes] -> send push a",
            "signed_up.plan? [no] -> wait for invited, 7 days",
            "send push a [sent] -> wait for invited, 7 days",
            "send push a [not sent] -> send email b",
            "wait for invited, 7 days [happened] -> send email b",
            "send email b -> end",
            "wait for invited, 7 days [not in time] -> end",
        ],
    ),
    "a choice within an expression": (
        "receipt = await j.send(Email('a')) if signed_up.plan else await j.send(Sms('b'))",
        [
            "signed_up -> signed_up.plan?",
            "signed_up.plan? [yes] -> send email a",
            "signed_up.plan? [no] -> send sms b",
            "send email a -> end",
            "send sms b -> end",
        ],
    ),
    "an error that is expected": (
        "try:\n    count = int(signed_up.plan)\nexcept ValueError:\n    return\nawait j.send(Email('a'))",
        [
            "signed_up -> count = int(signed_up.plan)",
            "count = int(signed_up.plan) [ValueError] -> end",
            "count = int(signed_up.plan) [works] -> send email a",
            "send email a -> end",
        ],
    ),
    "a failure": (
        "if not signed_up.plan:\n    raise ValueError('no plan')\nawait j.send(Email('a'))",
        [
            "signed_up -> signed_up.plan?",
            "signed_up.plan? [no] -> raise ValueError('no plan')",
            "signed_up.plan? [yes] -> send email a",
            "send email a -> end",
        ],
    ),
    "plain code": (
        "total = 0\nfor event in j.seen(Invited):\n    if event:\n        continue\n    total += 1\n"
        "while total > 9:\n    total -= 1\nif total:\n    total = 2\nawait j.sleep(WEEK)",
        ["signed_up -> sleep 7 days", "sleep 7 days -> end"],
    ),
    "what nothing comes to": ("return\nawait j.send(Email('a'))", ["signed_up -> end"]),
}


@pytest.mark.parametrize(("lines", "edges"), SHAPES.values(), ids=SHAPES.keys())
def test_it_is_drawn_as_it_runs(lines: str, edges: list[str], tmp_path: Path) -> None:
    assert told(drawn(tmp_path, lines)) == edges


REFUSED = {
    "a verb in a comprehension": ("[await j.send(Email(x)) for x in 'ab']", "a verb stands in a comprehension; write a `for` loop"),
    "a verb in a lambda": ("later = lambda: j.sleep(WEEK)", "a verb stands in a function of its own"),
    "a verb in a helper": ("async def twice() -> None:\n    await j.sleep(WEEK)", "a verb stands in a function of its own"),
    "a verb in a with": ("with open('x'):\n    await j.sleep(WEEK)", "a verb stands in a `with`; take it out"),
    "a verb in a try": (
        "try:\n    await j.sleep(WEEK)\nexcept ValueError:\n    pass",
        "verbs raise nothing to catch: take them out of it",
    ),
    "a verb in a finally": ("try:\n    x = 1\nfinally:\n    await j.sleep(WEEK)", "a verb stands in a `try`"),
    "a verb that is not awaited": ("j.sleep(WEEK)", "j.sleep(WEEK) is not awaited; write `await j.sleep(WEEK)`"),
    "variants that are computed": ("await j.split('x', dict(a=1))", "the variants of this split cannot be read; write them out"),
    "an async for": ("async for x in y():\n    await j.sleep(WEEK)", "an `async for` waits for something other than a verb"),
}


@pytest.mark.parametrize(("lines", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_drawn_is_refused_with_file_line_and_remedy(lines: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Undrawable) as refused:
        drawn(tmp_path, lines)
    [file] = tmp_path.glob("*.py")
    line = file.read_text().splitlines().index("async def onboarding(j: Journey, signed_up: SignedUp) -> None:") + 2
    assert str(refused.value).startswith(f"{file}:{line}: this journey cannot be drawn: ")
    assert why in str(refused.value)


def test_labels_cannot_break_the_picture(tmp_path: Path) -> None:
    text = drawn(tmp_path, "if signed_up.plan > '\"]<b>`#&':\n    return").mermaid()
    [label] = re.findall(r'n1\{"(.*)"\}', text)
    assert not set(label) & set('"<>`&')
    assert re.sub(r"#(amp|lt|gt|quot|35|96);", "", label).count("#") == 0
