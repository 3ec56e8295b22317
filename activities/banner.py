"""What stands at the top of every message that is a try: so that nobody takes it for what it tries."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from html import escape

from activities.transport import Content

MARK = "[try] "
STYLE = "margin:0;padding:12px 16px;text-align:center;font:13px/20px sans-serif;background:#fff4cc;color:#4d3800"
BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)


def bannered(content: Content, channel: str, banner: str, at: datetime) -> Content:
    """Return what a message says with the banner above it, and when it would have come; as it is, without a banner.

    Webhooks stay as they are: they are for systems.
    """
    if not banner or channel == "webhook":
        return content
    words = f"{banner} It would come on {at:%A, %d %B %Y, %H:%M}."
    html = BODY.sub(lambda body: f'{body[0]}<div style="{STYLE}">{escape(words)}</div>', content.html, count=1)
    subject = f"{MARK}{content.subject}" if content.subject else ""
    return replace(content, text=f"{words}\n\n{content.text}", subject=subject, html=html)
