"""What three of the shipped journeys would have sent, by SQL over the calls: written from their definitions, and nothing of ours.

Moments are microseconds since 1970. A wait takes what comes at its very deadline; what is of one moment is in the file's order.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from zoneinfo import ZoneInfo

DAY, HOUR = 24 * 3600 * 1_000_000, 3600 * 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Message = tuple[str, int, str, str, str]  # whose, when, channel, template, and what became of it: sent, or why not

TABLES = """
CREATE TABLE calls (line INTEGER, user TEXT, event TEXT, at INTEGER, project TEXT, area TEXT);
CREATE TABLE zones (line INTEGER, user TEXT, at INTEGER, zone TEXT);
CREATE TABLE reach (user TEXT, at INTEGER, channel TEXT);
CREATE INDEX calls_by_user ON calls (user, event, at);
CREATE INDEX zones_by_user ON zones (user, at);
CREATE INDEX reach_by_user ON reach (user, channel, at);
CREATE TEMP VIEW pushes AS SELECT *, row_number() OVER (PARTITION BY user, project ORDER BY at, line) AS n
    FROM calls WHERE event = 'Commit Pushed';
"""

ONBOARDING = """
WITH joined AS (
    SELECT *, row_number() OVER (PARTITION BY user, project ORDER BY at, line) AS nth FROM calls WHERE event = 'Project Joined'
), welcomed AS (
    SELECT user, project, at AS entered, line AS since,
        coalesce((SELECT min(at) FROM pushes p WHERE p.user = j.user AND p.project = j.project
            AND (p.at, p.line) > (j.at, j.line) AND p.at <= j.at + :hour), j.at + :hour) AS welcome,
        (SELECT count(*) FROM pushes p WHERE p.user = j.user AND p.project = j.project
            AND (p.at, p.line) > (j.at, j.line) AND p.at <= j.at + :hour) > 0 AS had
    FROM joined j WHERE nth = 1
), silent AS (
    SELECT *, until(user, welcome + 3 * :day, zone_of(user, welcome + 3 * :day), '09:00', '01234', 20) AS nudge FROM welcomed w
    WHERE (SELECT count(*) FROM pushes p WHERE p.user = w.user AND p.project = w.project
        AND (p.at, p.line) > (w.entered, w.since) AND p.at <= w.welcome + 3 * :day) <= w.had
)
SELECT user, welcome AS at,
    CASE reaches(user, welcome, 'email') WHEN 1 THEN 'email welcome' ELSE 'in_app welcome' END AS what FROM welcomed
UNION ALL
SELECT user, nudge, CASE WHEN reaches(user, nudge, 'push') THEN 'push nudge' WHEN reaches(user, nudge, 'sms') THEN 'sms nudge'
    WHEN reaches(user, nudge, 'email') THEN 'email nudge' END FROM silent s
WHERE (SELECT count(*) FROM pushes p WHERE p.user = s.user AND p.project = s.project
    AND (p.at, p.line) > (s.entered, s.since) AND p.at <= s.nudge) <= s.had
"""

ACTIVATION = """
WITH firsts AS (
    SELECT *, (SELECT p.at FROM pushes p WHERE p.user = f.user AND p.project = f.project AND p.n > 1 AND p.area <> f.area
        AND p.at <= f.at + 14 * :day ORDER BY p.n LIMIT 1) AS elsewhere
    FROM pushes f WHERE n = 1
), late AS (
    SELECT *, until(user, at + 14 * :day, zone_of(user, at + 14 * :day), '10:00', '123', 40) AS tip
    FROM firsts WHERE elsewhere IS NULL
), told AS (
    SELECT *, (SELECT max(n) FROM pushes p WHERE p.user = l.user AND p.project = l.project AND p.at <= l.tip) > 1 AS more
    FROM late l
)
SELECT user, elsewhere AS at, 'in_app second_area' AS what FROM firsts WHERE elsewhere IS NOT NULL
UNION ALL
SELECT user, tip, CASE
    WHEN reaches(user, tip, 'email') THEN CASE WHEN more THEN 'email untried_area' ELSE 'email smaller_step' END
    WHEN more THEN 'in_app untried_area'
    WHEN reaches(user, tip, 'sms') THEN 'sms smaller_step' END FROM told
"""

# One run after another: whether a commit begins a run depends on how the last one ended, so it is gone through one by one.
PUSHES = "SELECT at FROM calls WHERE user = ? AND event = 'Commit Pushed' ORDER BY at, line"
PEOPLE = "SELECT DISTINCT user FROM calls ORDER BY user"


class Straight:
    """The calls of a file in tables, and what follows from them. The last call's moment is the end."""

    def __init__(self, file: Path) -> None:
        self.tables = sqlite3.connect(":memory:")
        self.tables.executescript(TABLES)
        self.end = 0
        with gzip.open(file, "rt") as lines:
            for number, line in enumerate(lines, 1):
                self._keep(number, json.loads(line))
        self.everywhere = self.tables.execute("SELECT count(*) FROM reach").fetchone()[0] == 0
        self.tables.create_function("until", 6, until, deterministic=True)
        self.tables.create_function("zone_of", 2, self.zone_of)
        self.tables.create_function("reaches", 3, self.reaches)

    def _keep(self, number: int, call: dict[str, object]) -> None:
        user, at = call["userId"], micros(datetime.fromisoformat(str(call["timestamp"])))
        context, told = call.get("context") or {}, call.get("properties") or {}
        traits = call.get("traits") or {}
        assert isinstance(context, dict)
        assert isinstance(told, dict)
        assert isinstance(traits, dict)
        self.end = max(self.end, at)
        if call["type"] == "track":
            row = (number, user, call["event"], at, told["project"], told.get("area", "root"))
            self.tables.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", row)
        if "timezone" in context:
            self.tables.execute("INSERT INTO zones VALUES (?, ?, ?, ?)", (number, user, at, context["timezone"]))
        for channel, has in (("email", "email" in traits), ("sms", "phone" in traits), ("push", "device" in context)):
            if has:
                self.tables.execute("INSERT INTO reach VALUES (?, ?, ?)", (user, at, channel))

    def zone_of(self, user: str, at: int) -> str:
        found = self._one("SELECT zone FROM zones WHERE user = ? AND at <= ? ORDER BY at DESC, line DESC LIMIT 1", user, at)
        return str(found or "UTC")

    def reaches(self, user: str, at: int, channel: str) -> bool:
        asked = "SELECT count(*) FROM reach WHERE user = ? AND at <= ? AND channel = ?"
        return self.everywhere or bool(self._one(asked, user, at, channel))

    def _one(self, query: str, *values: object) -> object:
        row = self.tables.execute(query, values).fetchone()
        return row[0] if row else None

    def sent(self, journey: str) -> list[tuple[str, int, str]]:
        """Return what would have been sent up to the end: to whom, when, and what, in that order."""
        rows = self._reengagement() if journey == "reengagement" else self._by_sql(journey)
        texts = ((user, self._by_day(user, at) if what and what.startswith("sms") else at, what) for user, at, what in rows)
        return sorted((user, at, what) for user, at, what in texts if what is not None and at <= self.end)

    def _by_day(self, user: str, at: int) -> int:
        """A text does not come by night: not where its number is of, if nobody knows where the person is. All are of Washington."""
        known = self._one("SELECT count(*) FROM zones WHERE user = ? AND at <= ?", user, at)
        return after_night(at, self.zone_of(user, at) if known else "America/New_York")

    def _by_sql(self, journey: str) -> list[tuple[str, int, str]]:
        query = {"onboarding": ONBOARDING, "activation": ACTIVATION}[journey]
        return list(self.tables.execute(query, {"day": DAY, "hour": HOUR}))

    def _reengagement(self) -> list[tuple[str, int, str]]:
        rows: list[tuple[str, int, str]] = []
        for (user,) in self.tables.execute(PEOPLE).fetchall():
            pushes, opens = [at for (at,) in self.tables.execute(PUSHES, (user,))], 0
            while (left := [at for at in pushes if at >= opens]) and left[0] <= self.end:
                run, opens = self._silence(user, left)
                rows += [(user, at, what) for at, what in run]
        return rows

    def _silence(self, user: str, pushes: list[int]) -> tuple[list[tuple[int, str]], int]:
        """Follow one run from its first push; return its messages, and from when there may be another."""
        count = 1
        while count < len(pushes) and pushes[count] <= pushes[count - 1] + 30 * DAY:
            count += 1
        silent, later = pushes[count - 1] + 30 * DAY, pushes[count:]
        if count == 1:
            return [], silent + 60 * DAY
        if count >= 10:
            sent, begin, back = self._mail(user, silent, "take_your_time"), silent, None
        else:
            sent, begin = self._mail(user, silent, "miss_you"), silent + 14 * DAY
            back = later[0] if later and later[0] <= begin else None
            if back is None:
                if self.reaches(user, begin, "push"):
                    begin = after_night(begin, self.zone_of(user, begin))
                    sent.append((begin, "push last_word"))
                else:
                    sent += self._mail(user, begin, "last_word")
        if back is None and later and later[0] <= begin + 365 * DAY:
            back = max(later[0], begin)
        if back is None:
            return sent, begin + 425 * DAY
        return [*sent, (back, "in_app welcome_back")], back + 60 * DAY

    def _mail(self, user: str, at: int, template: str) -> list[tuple[int, str]]:
        return [(at, f"email {template}")] if self.reaches(user, at, "email") else []


def until(user: str, at: int, zone: str, reads: str, days: str, minutes: int) -> int:
    """Return when a clock there reads so next, after `at`, on one of those days (Monday is 0), and the person's share later."""
    there = moment(at).astimezone(ZoneInfo(zone))
    day = there.date()
    while True:
        due = datetime.combine(day, clock.fromisoformat(reads), ZoneInfo(zone))
        if due > there and str(day.weekday()) in days:
            break
        day += timedelta(days=1)
    share = int.from_bytes(hashlib.sha256(user.encode()).digest()[:8], "big") / 2**64
    return micros(due) + round(share * minutes * 60_000_000)


def after_night(at: int, zone: str) -> int:
    """Return when the night of that moment there, from 21:00 to 08:00, is over; the moment itself by day."""
    there = moment(at).astimezone(ZoneInfo(zone))
    if 8 <= there.hour < 21:
        return at
    day = there.date() + timedelta(days=there.hour >= 21)
    return micros(datetime.combine(day, clock(8), ZoneInfo(zone)))


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    return EPOCH + timedelta(microseconds=at)
