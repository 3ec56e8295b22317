"""E-mail addresses and phone numbers, checked and in one form; nobody is asked over the network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from workflows.country import country
from workflows.traits import Misfit

EMAIL, PHONE = "email:", "phone:"  # before a name that is an address

# What most addresses are like, and the library takes as it is: told so in a fiftieth of its time.
LABEL = r"[a-z0-9]+(?:-[a-z0-9]+)*"
PLAIN = re.compile(rf"[a-z0-9_]+(?:[.+-][a-z0-9_]+)*@(?:{LABEL}\.)+[a-z]{{2,}}", re.IGNORECASE | re.ASCII)
PLAIN_LENGTH = 60
SPECIAL = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)  # of which the library has its own opinion


def names_of(traits: Mapping[str, Any], locale: Any = None) -> Iterator[str]:
    """Return the names that somebody with these traits may go by if nothing more is known of them: an address that fits is one."""
    region = region_of(traits, locale)
    for prefix, stated in ((EMAIL, traits.get("email")), (PHONE, traits.get("phone"))):
        if stated and isinstance(stated, str | int) and not isinstance(stated, bool):
            try:
                yield name_of(prefix, stated, region)
            except Misfit:
                continue


def name_of(prefix: str, stated: str | int, region: str | None = None) -> str:
    """Return the name that an address makes; however it is written, it is the same. Raises Misfit for what is no address."""
    address = email_of(str(stated)).lower() if prefix == EMAIL else phone_of(stated, region)
    return f"{prefix}{address}"


def email_of(text: str) -> str:
    """Return an address with its domain in lower case. Raises Misfit for what is none (RFC 5322, RFC 6531)."""
    text = text.strip()
    if len(text) <= PLAIN_LENGTH and PLAIN.fullmatch(text):
        local, _, domain = text.rpartition("@")
        if (domain := domain.lower()).rpartition(".")[2] not in SPECIAL:
            return f"{local}@{domain}"
    try:
        address = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        address = None
    if address is None or "." not in address.domain:
        raise Misfit("traits.email: it is not an e-mail address, so it is refused; send one such as ada@example.org")
    return address.normalized


def phone_of(value: str | int, region: str | None = None) -> str:
    """Return a number in E.164, read as of `region` if it has no country code. Raises Misfit for one that cannot be.

    What comes as a JSON number has its country code, for a leading zero would be lost.
    """
    text = f"+{value}" if isinstance(value, int) else value.strip()
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise Misfit(
            "traits.phone: it is not a phone number with its country code, so it is refused; send one such as +4915112345678"
        ) from None
    if not phonenumbers.is_valid_number(number):
        raise Misfit("traits.phone: no phone number of that country is like it, so it is refused; send one such as +4915112345678")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def region_of(traits: Mapping[str, Any], locale: Any) -> str | None:
    """Return the country to read a number in: the trait `country` (ISO 3166), or the locale's, or None."""
    return country(traits, locale if isinstance(locale, str) else "") or None
