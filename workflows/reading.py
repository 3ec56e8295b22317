"""Which of several texts does a reader get? The one in their language, or the closest to it that there is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

LONGEST = 35  # characters of a tag: RFC 5646, 4.4.1
MOST = 20  # languages that are looked at of those which a browser asks for


def closest(wanted: Sequence[str], there: Collection[str]) -> str | None:
    """Return which of the languages that are `there` a reader gets who wants these, the best first; None if they read none.

    `pt_BR` is served by pt-BR, then by pt, then by any other Portuguese.
    """
    known = {each.replace("_", "-").lower(): each for each in there}
    for tag in wanted:
        for shorter in _shorter(tag):
            if shorter in known:
                return known[shorter]
            if "-" not in shorter and (kin := next((each for each in known if each.startswith(f"{shorter}-")), None)):
                return known[kin]
    return None


def read_by(text: str | Mapping[str, str], wanted: Sequence[str]) -> str:
    """Return a text that may be there in several languages: in the closest, else in the first that it is written in."""
    if isinstance(text, str):
        return text
    return text[closest(wanted, text) or next(iter(text))] if text else ""


def accepted_languages(header: str) -> list[str]:
    """Return the languages of an Accept-Language header, the best first (RFC 9110, 12.5.4)."""
    weighed = [(_weight(each), each.partition(";")[0].strip()) for each in header.split(",", MOST)[:MOST]]
    return [tag for weight, tag in sorted(weighed, key=lambda each: -each[0]) if weight > 0 and tag and tag != "*"]


def _weight(part: str) -> float:
    try:
        return float(part.partition("q=")[2] or 1)
    except ValueError:
        return 0.0


def _shorter(tag: str) -> Iterator[str]:
    """Yield the tag and what is left of it, part by part; nothing of what is too long for one."""
    parts = tag.replace("_", "-").lower().split("-") if len(tag) <= LONGEST else [""]
    yield from ("-".join(parts[:length]) for length in range(len(parts), 0, -1) if parts[0])
