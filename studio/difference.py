"""Where do virtual time and the real server tell different stories of one life?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import zip_longest

from studio.story import MINUTE, Ran, Said
from workflows.clock import in_words


def differences(virtual: Sequence[Ran], real: Sequence[Ran]) -> list[str]:
    """Say each difference in a sentence; none if it is one story.

    That is: the same runs, with the same messages (by step, channel and template) in the same order, the same outcomes with the
    same reasons, and the same ends; and each beginning, message and end at the same moment, give or take a minute.
    """
    pairs = zip_longest(in_order(virtual), in_order(real))
    return [said for number, (ours, theirs) in enumerate(pairs, 1) for said in _of_run(number, ours, theirs)]


def in_order(story: Sequence[Ran]) -> list[Ran]:
    """Return the runs in an order that does not depend on who tells of them: those that start at one moment by name."""
    return sorted(story, key=lambda run: (run.started, run.journey))


def _of_run(number: int, ours: Ran | None, theirs: Ran | None) -> Iterator[str]:
    if ours is None or theirs is None or (ours.journey, ours.version) != (theirs.journey, theirs.version):
        yield _sentence(f"run {number}", _titled(ours), _titled(theirs))
        return
    where = f"{ours.journey}, run {number}"
    if apart(ours.started, theirs.started):
        yield _sentence(f"{where} starts", _when(ours.started), _when(theirs.started))
    for place, (mine, other) in enumerate(zip_longest(ours.said, theirs.said), 1):
        if (told := _of_message(f"{where}, message {place}", mine, other)) is not None:
            yield told
            return  # what follows from it is no news
    if (ours.status, ours.reason) != (theirs.status, theirs.reason):
        yield _sentence(f"{where} is", _end(ours), _end(theirs))
    elif ours.ended is not None and theirs.ended is not None and apart(ours.ended, theirs.ended):
        yield _sentence(f"{where} ends", _when(ours.ended), _when(theirs.ended))


def _of_message(where: str, ours: Said | None, theirs: Said | None) -> str | None:
    if ours is None or theirs is None or _what(ours) != _what(theirs):
        return _sentence(f"{where} is", _message(ours), _message(theirs))
    if (ours.status, ours.reason) != (theirs.status, theirs.reason):
        what = f"{where}, {ours.channel}/{ours.template}, is"
        return _sentence(what, _outcome(ours), _outcome(theirs))
    if apart(ours.after, theirs.after):
        return _sentence(f"{where}, {ours.channel}/{ours.template}, is {ours.status}", _when(ours.after), _when(theirs.after))
    return None


def apart(one: timedelta, other: timedelta) -> bool:
    """Say whether they are further apart than the real server's own time accounts for."""
    return abs(one - other) > MINUTE


def _sentence(what: str, ours: str, theirs: str) -> str:
    return f"{what} {theirs} on the real server, {ours} in virtual time"


def _titled(run: Ran | None) -> str:
    return "is not there" if run is None else f"is of {run.journey} version {run.version}, {_when(run.started)},"


def _what(said: Said) -> tuple[str, str, str]:
    return said.step, said.channel, said.template


def _message(said: Said | None) -> str:
    return (
        "not there" if said is None else f"{said.channel}/{said.template}, {_outcome(said)}, {_when(said.after)}, step {said.step}"
    )


def _outcome(said: Said) -> str:
    return f"{said.status} ({said.detail or said.reason})" if said.reason else said.status


def _end(run: Ran) -> str:
    return f"{run.status} ({run.reason})" if run.reason else run.status


def _when(after: timedelta) -> str:
    return f"{in_words(after)} after the start" if after else "at the start"
