"""What is added to an e-mail's parts: a way out where its template has none, and what tells whether it is opened and clicked."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape, unescape

from activities.links import Links
from activities.templates import language_tags
from activities.transport import Content

WAY_OUT = {  # the question, and the link's own words
    "en": ("Don't want these e-mails any more?", "Unsubscribe"),
    "de": ("Keine solchen E-Mails mehr?", "Abmelden"),
    "fr": ("Vous ne souhaitez plus recevoir ces e-mails ?", "Se désabonner"),
    "es": ("¿No quieres recibir más estos correos?", "Darse de baja"),
    "pt": ("Não quer mais receber estes e-mails?", "Cancelar inscrição"),
}
LINE = (
    '<p style="margin:0;padding:24px 16px;text-align:center;font:13px/20px sans-serif;color:#6f7680">'
    '{question} <a href="{url}" style="color:inherit">{label}</a></p>'
)
PICTURE = '<img src="{url}" width="1" height="1" alt="" style="display:block;border:0" />'
BODY = re.compile(r"<body\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.IGNORECASE)
# What follows it in the mail is kept out of the list by spaces that have no width, which mail programs count as text.
PREHEADER = (
    '<div style="display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all">'
    "{text}" + "&#847;&zwnj;&nbsp;" * 40 + "</div>"
)
END_OF_BODY = re.compile(r"</body\s*>(?!.*</body)", re.IGNORECASE | re.DOTALL)
LINK = re.compile(r"""<!--.*?-->|<a\s(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE | re.DOTALL)
TARGET = re.compile(r"""(\shref\s*=\s*)("[^"]*"|'[^']*')""", re.IGNORECASE)


def marked(content: Content, links: Links | None, *locales: str) -> Content:
    """Return an e-mail as it goes out. The way out is named in the language of the first locale that we have words for."""
    if links is None:
        return content
    whole = content if links.transactional else with_way_out(content, links.unsubscribe_url, *locales)
    if links.tracked:
        whole = replace(whole, html=_before_end(with_tracked_links(whole.html, links), PICTURE.format(url=links.opened_url)))
    return replace(whole, headers=links.headers)


def with_preheader(html: str, text: str) -> str:
    """Return the HTML with the text that a list of mails shows beside the subject, and the mail itself does not."""
    start = BODY.search(html) if text else None
    return f"{html[: start.end()]}{PREHEADER.format(text=escape(text))}{html[start.end() :]}" if start else html


def with_way_out(content: Content, url: str, *locales: str) -> Content:
    """Return the mail with the link in both parts: where its template has it already, as it is."""
    languages = [tags[-1] for locale in locales if (tags := language_tags(locale))]
    question, label = WAY_OUT[next((each for each in languages if each in WAY_OUT), "en")]
    text, html = content.text, content.html
    if url not in text:
        text = f"{text}\n\n{question} {label}: {url}"
    if url not in html:
        html = _before_end(html, LINE.format(question=escape(question), url=escape(url), label=escape(label)))
    return replace(content, text=text, html=html)


def with_tracked_links(html: str, links: Links) -> str:
    """Return the HTML with its links leading through us; what is commented out, as for Outlook, stays as it is."""

    def through_us(target: re.Match[str]) -> str:
        url = unescape(target[2][1:-1]).strip()
        through = links.clicked_url(url)
        return target[0] if through == url else f'{target[1]}"{escape(through)}"'

    def link(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith("<!--") else TARGET.sub(through_us, found[0], count=1)

    return LINK.sub(link, html)


def _before_end(html: str, piece: str) -> str:
    end = END_OF_BODY.search(html)
    return f"{html[: end.start()]}{piece}{html[end.start() :]}" if end else f"{html}{piece}"
