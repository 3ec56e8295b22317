"""What each provider's codes mean: the shipped table, and a team's own before it."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "provider_errors.toml"
SETTING = "SOJOURN_PROVIDER_ERRORS"
TO_ADDRESSES = ("suppress", "opted_out")  # what they suppress is an address: a push token is none, and is removed instead

Kind = Literal["retry", "permanent", "remove_token", "suppress", "stop_channel", "opted_out"]
KINDS: tuple[str, ...] = get_args(Kind)


class BadProviderErrors(ValueError):
    """A table of provider errors that cannot be used: in which file, at which key, and why."""


@dataclass(frozen=True)
class Rule:
    """What becomes of a message that was refused with some code. `tries`: after so many attempts it has failed; None: no limit."""

    kind: Kind
    tries: int | None = None

    @property
    def suppresses(self) -> str:
        """The cause for which nothing may go to the address any more; '' if it may."""
        return {"suppress": "hard_bounce", "opted_out": "stop"}.get(self.kind, "")


UNKNOWN = Rule("permanent")


@dataclass(frozen=True)
class ProviderErrors:
    """The rules, by provider and code."""

    rules: Mapping[str, Mapping[str, Rule]]

    def known(self, provider: str, *codes: str) -> Rule | None:
        """Return the rule of the first of these codes that has one."""
        return next((self.rules[provider][code] for code in codes if code in self.rules[provider]), None)

    def rule(self, provider: str, code: str) -> Rule:
        """Return the rule of a code. One that is not known is for good, and an operator is to look it up."""
        if (rule := self.known(provider, code)) is not None:
            return rule
        log.warning("%s: code %r is unknown, and taken to be for good; a line for it belongs in %s", provider, code, SETTING)
        return UNKNOWN


@cache
def provider_errors(own: Path | None = None) -> ProviderErrors:
    """Return the shipped table with the codes of a file of one's own before it. Raises BadProviderErrors."""
    shipped = dict(_read(SHIPPED, SHIPPED.name, None))
    if own is None:
        return ProviderErrors(shipped)
    changed = dict(_read(own, f"{SETTING}={own}", shipped.keys()))
    return ProviderErrors({provider: {**rules, **changed.get(provider, {})} for provider, rules in shipped.items()})


def _read(file: Path, name: str, providers: Any) -> Iterator[tuple[str, Mapping[str, Rule]]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadProviderErrors(f"{name} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadProviderErrors(f"{name} is not TOML: {error}") from error
    for provider, table in tables.items():
        if providers is not None and provider not in providers:
            raise BadProviderErrors(f"{name}: [{provider}] is no provider; there are {', '.join(providers)}")
        if not isinstance(table, dict):
            raise BadProviderErrors(f"{name}: {provider} = … stands outside a section; write it below [twilio], say")
        yield provider, {code: _rule(f"{name}: [{provider}] {code}", provider, said) for code, said in table.items()}


def _rule(place: str, provider: str, said: Any) -> Rule:
    stated = {"class": said} if isinstance(said, str) else said
    if not isinstance(stated, dict) or not stated.keys() <= {"class", "tries"}:
        raise BadProviderErrors(f'{place}: write a class, or {{ class = "retry", tries = 2 }}')
    kind, tries = stated.get("class"), stated.get("tries")
    if kind not in KINDS:
        raise BadProviderErrors(f"{place}: {kind!r} is no class; there are {', '.join(KINDS)}")
    if kind == "remove_token" and provider != "fcm":
        raise BadProviderErrors(f"{place}: only fcm has tokens to remove")
    if kind in TO_ADDRESSES and provider == "fcm":
        raise BadProviderErrors(f"{place}: a token is no address; its class is remove_token")
    if tries is not None and (kind != "retry" or not isinstance(tries, int) or isinstance(tries, bool) or tries < 1):
        raise BadProviderErrors(f"{place}: tries is a number from 1, and goes with retry")
    return Rule(kind, tries)
