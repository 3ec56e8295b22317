"""What would a careful reader say of a message before it goes out? Asked of what it says once it is filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urlsplit

from activities.segments import BASIC, EXTENSION, segments
from activities.transport import Content

CLIPPED = 102 * 1024  # bytes of HTML beyond which Gmail hides the rest, the way out with it
SUBJECT = 70  # letters, of which a phone shows some forty
TEXT_PARTS = 3
PUSH_TITLE, PUSH_TEXT = 50, 150  # letters that a locked screen shows
PUSH_BYTES = 4096 - 512  # of the 4 KB that FCM and APNs take, what is left for words
SCHEMES = frozenset(("https", "mailto", "tel", "sms"))
PLACES_TO_HOLD = ("example.com", "example.org", "example.net", ".example", ".test", ".invalid")  # RFC 2606


@dataclass(frozen=True)
class Remark:
    """What is not as it should be, and what to do."""

    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.why}; {self.fix}"


def remarks(channel: str, content: Content) -> list[Remark]:
    """Return what is worth a second look, the worst for the reader first. Nothing is fetched."""
    match channel:
        case "email":
            found = _of_mail(content)
        case "sms":
            found = _of_text(content.text)
        case "push":
            found = _of_push(content)
        case _:
            found = iter(())
    actions = _of_link(content.action_url, content.action) if content.action_url else ()
    return list(dict.fromkeys([*found, *actions]))


def _of_mail(content: Content) -> Iterator[Remark]:
    size = len(content.html.encode())
    if size > CLIPPED:
        why = f"its HTML has {size // 1024} KiB, and Gmail hides what comes after 102"
        yield Remark(why, "shorten it, or send two")
    if not content.subject.strip():
        yield Remark("its subject is empty", "say in it what the mail is about")
    if len(content.subject) > SUBJECT:
        yield Remark(f"its subject has {len(content.subject)} letters, and most lists of mails cut it at {SUBJECT}", "shorten it")
    reading = _Reading()
    reading.feed(content.html)
    reading.close()
    for url, words in reading.links:
        yield from _of_link(url, words)
    for image in reading.images:
        yield from _of_image(image)


def _of_link(url: str, words: str) -> Iterator[Remark]:
    said = f"the link {words.strip()!r}" if words.strip() else f"the link to {url}"
    try:
        parts = urlsplit(url.strip())
        scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    except ValueError:
        yield Remark(f"{said} leads to {url!r}, which is no address", "write it as https://…")
        return
    local = host in ("localhost", "127.0.0.1", "::1")
    if not words.strip():
        yield Remark(f"{said} has no words, and nobody who listens to the mail knows where it leads", "give it some")
    if url.strip() in ("", "#"):
        yield Remark(f"{said} leads nowhere", "give it an address, or take it out")
    elif not scheme or (scheme in ("http", "https") and not host):
        yield Remark(f"{said} leads to {url!r}, which is no whole address", "write it as https://…")
    elif scheme == "http" and not local:
        yield Remark(f"{said} leads to {url} unencrypted", "write https")
    elif scheme not in SCHEMES and not local:
        yield Remark(f"{said} leads to {url}, which mail programs do not follow", "use https, mailto, tel or sms")
    elif any(host == each or host.endswith(each if each.startswith(".") else f".{each}") for each in PLACES_TO_HOLD):
        yield Remark(f"{said} leads to {host}, which only holds a place", "write where it is to lead")


def _of_image(image: Mapping[str, str | None]) -> Iterator[Remark]:
    source = image.get("src") or ""
    named = source.partition("?")[0].rpartition("/")[2] or source or "without a source"
    if "alt" not in image:
        yield Remark(f"the picture {named} has no alt, and most mail programs show that first", 'say what it shows, or alt=""')
    if not source:
        yield Remark("a picture has no source", "give it one")
    elif source.startswith("data:"):
        yield Remark(f"the picture {named[:40]} is in the mail itself, which Gmail and Outlook do not show", "put it on a server")
    elif not source.startswith(("https://", "cid:", "http://localhost", "http://127.0.0.1")):
        yield Remark(f"the picture {named} is at {source}, which is no https address", "write it as https://…")


def _of_text(text: str) -> Iterator[Remark]:
    parts = segments(text)
    if parts.segments > TEXT_PARTS:
        yield Remark(f"it is billed as {parts.segments} texts", "shorten it, or send what is long by e-mail")
    odd = sorted({each for each in text if each not in BASIC and each not in EXTENSION})
    plain = segments("".join("x" if each in odd else each for each in text)).segments
    if odd and plain < parts.segments:
        named = " ".join(odd[:8])
        yield Remark(
            f"{named} make {parts.segments} texts of what would be {plain}", "write it without them, if its language allows"
        )


def _of_push(content: Content) -> Iterator[Remark]:
    if len(content.subject) > PUSH_TITLE:
        yield Remark(f"its title has {len(content.subject)} letters, and a locked screen shows some {PUSH_TITLE}", "shorten it")
    if len(content.text) > PUSH_TEXT:
        yield Remark(f"its text has {len(content.text)} letters, and a locked screen shows some {PUSH_TEXT}", "shorten it")
    size = sum(len(each.encode()) for each in (content.subject, content.text, content.action, content.action_url))
    if size > PUSH_BYTES:
        yield Remark(f"it has {size} bytes, and FCM and APNs refuse more than 4 KB in all", "shorten it")


class _Reading(HTMLParser):
    """Collects the links of a page with their words, the alternatives of pictures among them, and its pictures."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[tuple[str, str]] = []
        self.images: list[Mapping[str, str | None]] = []
        self._open: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and "href" in given:
            self._open.append((given["href"] or "", [given.get("aria-label") or given.get("title") or ""]))
        elif tag == "img":
            self.images.append(given)
            self.handle_data(given.get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open:
            url, words = self._open.pop()
            self.links.append((url, " ".join("".join(words).split())))

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][1].append(data)
