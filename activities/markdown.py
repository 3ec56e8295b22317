"""Markdown as the body of an e-mail: what is written becomes MJML, and what is filled in stays text."""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup
from markupsafe import escape as escaped

LAYOUT = "email/_layout.mjml"
# What has a meaning in Markdown is filled in as an entity, which has none (CommonMark 2.5); what HTML needs is one already.
MEANT = re.compile(r"&#?\w+;|[^\w\s&;]|_")
END = "\ue000"  # a letter for private use, after each of ours: in code, where Markdown reads no entities, they are known by it
OURS = re.compile(rf"&#?\w+;(?={END})")
IN_LINKS = "%EE%80%80"  # which is that letter there
HTML = RendererHTML()
# The margins that mail programs give these are added to that of the `mj-text` around them, and each has others.
STYLES = {
    "h1": "margin:0;font-size:inherit;line-height:inherit;font-weight:inherit",
    **dict.fromkeys(("h2", "h3", "h4", "h5", "h6"), "margin:0"),
    **dict.fromkeys(("ul", "ol"), "margin:0;padding-left:24px"),
    "blockquote": "margin:0;padding-left:16px;border-left:3px solid #b9bec7",
    "p": "margin:0",
}
READER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")


def begun(header: dict[str, str]) -> str:
    """Return what stands before a Markdown body so that Jinja puts it into its layout."""
    layout = header.get("layout", LAYOUT).replace('"', "")
    return f'{{% extends "{layout}" %}}{{% block body %}}{{% filter markdown %}}'


ENDED = "{% endfilter %}{% endblock %}"


def in_markdown(value: Any) -> Markup | None:
    """Return a value as Markdown that reads as just that text: it can become no link, no emphasis and no HTML."""
    if value is None:  # which is told where it is to be written
        return None
    text = re.sub(r"\s+", " ", escaped(value).replace(END, ""))
    return Markup(MEANT.sub(lambda found: _entity(found[0]) + END, text))


def _entity(meant: str) -> str:
    return meant if meant.startswith("&") else f"&#{ord(meant)};"


def mjml(text: str) -> Markup:
    """Return the MJML of a text in CommonMark: an `mj-text` a paragraph, list or heading, an `mj-image` for a picture that
    stands alone, an `mj-button` for a link in bold that does. HTML in it is text.
    """
    tokens = _finished(READER.parse(str(text).strip()))
    blocks, depth = list[list[Token]](), 0
    for token in tokens:
        if depth == 0:
            blocks.append([])
        blocks[-1].append(token)
        depth += token.nesting
    return Markup("\n".join(_component(block) for block in blocks))


def _finished(tokens: list[Token]) -> list[Token]:
    """Take away what marks our entities, in code put in what they stand for, and say how far things stand apart."""
    for token in tokens:
        in_code = token.type in ("code_inline", "code_block", "fence")
        text = OURS.sub(lambda found: unescape(found[0]), token.content) if in_code else token.content
        token.content = text.replace(END, "")
        if token.nesting == 1 and token.tag in STYLES:
            token.attrSet("style", STYLES[token.tag])
        token.attrs = {name: str(value).replace(IN_LINKS, "").replace(END, "") for name, value in token.attrs.items()}
        _finished(token.children or [])
    return tokens


def _component(block: list[Token]) -> str:
    if block[0].type == "hr":
        return "<mj-divider />"
    inside = _inside(block)
    match [token.type for token in inside]:
        case ["image"]:
            image = inside[0]
            return f'<mj-image src="{_attribute(image, "src")}" alt="{escape(image.content)}" />'
        case ["strong_open", "link_open", *label, "link_close", "strong_close"] if "link_open" not in label:
            words = HTML.renderInline(inside[2:-2], READER.options, {})
            return f'<mj-button css-class="button" href="{_attribute(inside[1], "href")}">{words}</mj-button>'
    html = HTML.render(block, READER.options, {}).strip()
    kind = ' mj-class="headline"' if block[0].tag == "h1" else ""
    return f"<mj-text{kind}>{_without_paragraph(html)}</mj-text>"


def _inside(block: list[Token]) -> list[Token]:
    """Return what a paragraph is made of, without the empty text that the parser leaves around a mark."""
    if [token.type for token in block] != ["paragraph_open", "inline", "paragraph_close"]:
        return []
    return [token for token in block[1].children or () if not (token.type == "text" and not token.content)]


def _attribute(token: Token, name: str) -> str:
    return escape(str(token.attrs.get(name, "")))


def _without_paragraph(html: str) -> str:
    """Take the paragraph around a text away: it has a margin, and its `mj-text` has one too."""
    begin = f'<p style="{STYLES["p"]}">'
    alone = html.startswith(begin) and html.count("<p") == 1 and html.endswith("</p>")
    return html.removeprefix(begin).removesuffix("</p>") if alone else html
