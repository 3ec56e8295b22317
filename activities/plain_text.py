"""The text part of an e-mail, made from its HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
PARTS = frozenset(("address", "article", "blockquote", "div", "footer", "header", "hr", "ol", "p", "section", "ul"))
BLOCKS = HEADINGS | PARTS | {"table", "tr", "td", "th"}
UNSEEN = frozenset(("head", "script", "style", "template", "title"))
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def plain_text(html: str) -> str:
    """Return what a reader of the HTML would see, with where its links lead; what is hidden, such as a preview, stays out."""
    reading = _Reading()
    reading.feed(html)
    reading.close()
    return reading.text()


class _Reading(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._hidden: list[str] = []  # the open elements from the one that is not shown inwards
        self._links: list[tuple[str, int]] = []

    def text(self) -> str:
        lines = [" ".join(line.split()) for line in "".join(self._pieces).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._hidden or tag in UNSEEN or HIDDEN.search(given.get("style") or ""):
            self._hide(tag)
        elif tag == "br":
            self._pieces.append("\n")
        elif tag == "li":
            self._pieces.append("\n- ")
        elif tag == "img":
            self._pieces.append(given.get("alt") or "")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self._pieces)))
        elif tag in BLOCKS:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._unhide(tag)
        elif tag == "a" and self._links:
            self._tell_target(*self._links.pop())
        elif tag in BLOCKS:
            self._break()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._pieces.append(re.sub(r"\s+", " ", data))

    def _hide(self, tag: str) -> None:
        if tag not in VOID:
            self._hidden.append(tag)

    def _unhide(self, tag: str) -> None:
        """Close the element of that name, and those in it that were left open."""
        while tag in self._hidden:
            if self._hidden.pop() == tag:
                return

    def _break(self) -> None:
        """Begin a new paragraph, unless nothing has been said since the last."""
        if self._pieces and self._pieces[-1] != "\n\n":
            self._pieces.append("\n\n")

    def _tell_target(self, target: str, start: int) -> None:
        label = "".join(self._pieces[start:]).strip()
        if target.removeprefix("mailto:") not in ("", "#", label):
            self._pieces.append(f" ({target.removeprefix('mailto:')})" if label else target)
