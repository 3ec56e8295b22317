"""In which languages is each message that people read, and which of the folder's is it not in?"""

from __future__ import annotations

from collections.abc import Mapping

from studio.shipment import Shipment
from workflows.messages import TO_SYSTEMS

MOST = 0.5  # of the templates that are in a language, for it to be expected of all


def languages(shipment: Shipment) -> Mapping[str, frozenset[str]]:
    """Return the language tags that each template which is sent to people has a file for."""
    return {
        template: frozenset(tag for tag, _ in files if tag)
        for template in sorted(shipment.sent)
        if template.partition("/")[0] not in TO_SYSTEMS and (files := shipment.by_language(template))
    }


def expected(spoken: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the languages that most templates are in: who reads these is written to in another by mistake."""
    tags = sorted({tag for each in spoken.values() for tag in each})
    return frozenset(tag for tag in tags if sum(tag in each for each in spoken.values()) > MOST * len(spoken))
