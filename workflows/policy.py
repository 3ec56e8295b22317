"""What the team has laid down for every journey: topics, frequency caps, quiet hours, the holdout."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import Enum
from functools import cached_property
from zoneinfo import ZoneInfo

from workflows.clock import EVERY_DAY, Day, in_words, local, next_change, next_reading, share
from workflows.messages import CHANNELS

OUTWARD = ("email", "sms", "push")  # what interrupts somebody: a cap on all channels counts these


class Calendar(Enum):
    """A window that begins with the calendar where the person is: at midnight, on Monday, on the first."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def begins(self, now: datetime, where: ZoneInfo) -> datetime:
        """Return, in UTC, when the window that `now` is in began there."""
        return local(self._first_day(now.astimezone(where)), time(0), where)

    def ends(self, now: datetime, where: ZoneInfo) -> datetime:
        """Return, in UTC, when the next one begins there."""
        longest = {Calendar.DAY: 1, Calendar.WEEK: 7, Calendar.MONTH: 31}[self]
        later = datetime.combine(self._first_day(now.astimezone(where)).date() + timedelta(days=longest), time(12), where)
        return local(self._first_day(later), time(0), where)

    def _first_day(self, day: datetime) -> datetime:
        back = {Calendar.DAY: 0, Calendar.WEEK: day.weekday(), Calendar.MONTH: day.day - 1}[self]
        return datetime.combine(day.date() - timedelta(days=back), time(12), day.tzinfo)


@dataclass(frozen=True)
class Cap:
    """At most `limit` messages `per` window: rolling, a timedelta, or of the calendar where the person is.

    Counted are those of `channel` and of `topic`; without a channel, all that goes out by e-mail, text or push.
    """

    limit: int
    per: timedelta | Calendar
    channel: str | None = None
    topic: str | None = None

    def counts(self, channel: str, topic: str) -> bool:
        """Say whether a message of that channel and topic is one of those it counts."""
        return (channel in OUTWARD if self.channel is None else channel == self.channel) and self.topic in (None, topic)

    def __str__(self) -> str:
        window = f"a {self.per.value}" if isinstance(self.per, Calendar) else f"in {in_words(self.per)}"
        kinds = " ".join(filter(None, (self.channel, self.topic and f"on {self.topic}")))
        return f"{self.limit} {window}" + (f", {kinds}" if kinds else "")


@dataclass(frozen=True)
class QuietHours:
    """When a channel is silent where the person is: from `start` up to `end`, over midnight if need be, and on all other `days`."""

    start: time
    end: time
    days: Collection[Day] = EVERY_DAY  # on which it may speak

    def include(self, at: time) -> bool:
        """Say whether that reading of the clock is within the hours."""
        if self.start <= self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end

    def cover(self, moment: datetime, where: ZoneInfo) -> bool:
        """Say whether it is to be silent at that moment there."""
        there = moment.astimezone(where)
        return there.weekday() not in self.days or self.include(there.time())

    def over(self, now: datetime, where: ZoneInfo) -> datetime:
        """Return, in UTC, the next moment after `now` at which that may be different: the hours end, a day does, or the clock
        is changed, maybe back to before the hours began.
        """
        ends = min(next_reading(now, self.end, where), Calendar.DAY.ends(now, where))
        return next_change(now, ends, where) or ends


@dataclass(frozen=True)
class Topic:
    """What people hear of, and may say yes or no to.

    Who has said nothing is written to, unless it is `opt_in`. With `double_opt_in` a yes to its e-mails counts once it has been
    confirmed by the link in a mail. `title` and `about` are for the reader: text, or texts by language tag.
    """

    name: str
    title: str | Mapping[str, str] = ""
    about: str | Mapping[str, str] = ""
    opt_in: bool = False
    double_opt_in: bool = False


@dataclass(frozen=True)
class Holdout:
    """A share of all people, from 0 to 1, who get nothing but what is transactional, so that the rest can be compared with them."""

    share: float
    name: str = "global"

    def includes(self, person: str) -> bool:
        """Say whether a person who was never asked before is one of them."""
        return share(f"holdout/{self.name}:{person}") < self.share


NIGHT = QuietHours(time(21), time(8))


@dataclass(frozen=True)
class Policy:
    """All of it. Quiet hours are by channel; `countries` has others by country (ISO 3166), each by channel.

    What waits for quiet hours to end is spread over `spread` after their end. `fewer` holds beside the caps for who asked for
    fewer messages.
    """

    topics: tuple[Topic, ...] = ()
    caps: tuple[Cap, ...] = ()
    quiet_hours: Mapping[str, QuietHours] = field(default_factory=lambda: {"sms": NIGHT, "push": NIGHT})
    countries: Mapping[str, Mapping[str, QuietHours]] = field(default_factory=dict)
    spread: timedelta = timedelta(0)
    fewer: Cap = Cap(1, Calendar.WEEK)
    holdout: Holdout | None = None

    def topic(self, name: str) -> Topic:
        """Return the topic of that name; one that nobody has declared is opt-out."""
        return self._by_name.get(name) or Topic(name)

    @cached_property
    def _by_name(self) -> Mapping[str, Topic]:
        return {each.name: each for each in self.topics}

    def hours(self, channel: str, country: str) -> QuietHours | None:
        """Return the quiet hours of a channel in a country ('' if that is not known)."""
        return self.countries.get(country, {}).get(channel) or self.quiet_hours.get(channel)

    @property
    def looks_back(self) -> timedelta:
        """How far back the caps count; zero without caps."""
        windows = [each.per for each in self.caps] + [self.fewer.per]
        return max(each if isinstance(each, timedelta) else timedelta(days=32) for each in windows)


LAID_DOWN: list[Policy] = []
NOTHING_LAID_DOWN = Policy()


def policy(laid_down: Policy) -> Policy:
    """Lay down the policy of this process; a team's folder does so once. Raises ValueError for one that cannot hold."""
    for fault in _faults(laid_down):
        raise ValueError(f"policy: {fault}")
    if LAID_DOWN and LAID_DOWN[0] is not laid_down:
        raise ValueError("policy: it is laid down twice; call policy(...) once, in journeys/policy.py")
    LAID_DOWN[:] = [laid_down]
    return laid_down


def in_force() -> Policy:
    """Return what was laid down; where nothing was, no text and no push from 21:00 to 08:00."""
    return LAID_DOWN[0] if LAID_DOWN else NOTHING_LAID_DOWN


def _faults(laid_down: Policy) -> Collection[str]:
    named = [*laid_down.quiet_hours, *(each for hours in laid_down.countries.values() for each in hours)]
    named += [each.channel for each in laid_down.caps if each.channel is not None]
    found = [f"there is no channel {name!r}; there are {', '.join(CHANNELS)}" for name in named if name not in CHANNELS]
    names = [each.name for each in laid_down.topics]
    found += [f"topic {name!r} is declared twice" for name in sorted({name for name in names if names.count(name) > 1})]
    for cap in (*laid_down.caps, laid_down.fewer):
        if cap.limit < 0 or (isinstance(cap.per, timedelta) and cap.per <= timedelta(0)):
            found.append(f"cap {cap}: a limit is at least 0, and a window longer than nothing")
    for hours in (*laid_down.quiet_hours.values(), *(each for some in laid_down.countries.values() for each in some.values())):
        if not hours.days:
            found.append("quiet hours without days are never over; leave `days` out, or name one")
    if laid_down.spread < timedelta(0):
        found.append("spread: it cannot be less than nothing")
    if laid_down.holdout is not None and not 0 <= laid_down.holdout.share <= 1:
        found.append(f"holdout: {laid_down.holdout.share} is not a share from 0 to 1")
    return found
