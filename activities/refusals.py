"""From what a provider says to what becomes of the message, by the table of provider errors."""

from __future__ import annotations

import logging

from activities.provider_errors import ProviderErrors
from activities.transport import Failure, OutOfReach, Undeliverable

log = logging.getLogger(__name__)


def refusal(errors: ProviderErrors, provider: str, code: str, said: str, told: str, otherwise: Failure | None = None) -> Failure:
    """Return what a refusal with that code means.

    `otherwise` is what the rest of the answer means, a status for instance, where the table does not know the code or only has
    that it may be tried again. `told` says it without a word of the message's.
    """
    rule = errors.known(provider, code) if otherwise is not None else errors.rule(provider, code)
    if rule is None:
        assert otherwise is not None
        return otherwise
    match rule.kind:
        case "stop_channel":
            log.critical("%s refuses everything until somebody sees to our account there: %s", provider, told)
            return OutOfReach(said, told)
        case "retry":
            return OutOfReach(said, told, rule.tries) if rule.tries is not None or otherwise is None else otherwise
    return Undeliverable(said, told, suppress=rule.suppresses, source=f"{provider} {code}")
