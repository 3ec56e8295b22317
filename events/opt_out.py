"""What somebody means who writes back: stop, start again, help, or none of these."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Meaning = Literal["stop", "start", "help", "reply"]

# Twilio's own: https://help.twilio.com/articles/223134027
STOP = frozenset(("stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"))
START = frozenset(("start", "yes", "unstop"))
HELP = frozenset(("help", "info"))
TAKEN_FOR: dict[str, Meaning] = {"STOP": "stop", "START": "start", "HELP": "help"}

# Said outright, and with nothing beside it but courtesies. Whatever is less clear is a reply, for a person to read.
WHOM = r"(?: me| us| my (?:number|phone)| this (?:number|phone))?"
WHEN = r"(?: (?:anymore|any more|again|ever again|at all|from now on))?"
THINGS = r"(?: (?:any |more |any more |these |the |your |all )*(?:texts?|text messages?|messages?|sms|spam|this|these|stuff))?"
CLEARLY = [
    rf"(?:stop|quit|cease) (?:texting|messaging|contacting|spamming|bothering|smsing){WHOM}{WHEN}",
    rf"(?:stop|quit|cease) sending{WHOM}{THINGS}{WHEN}",
    r"stop (?:all )?(?:these |the |your )*(?:texts?|text messages?|messages?|sms|spam)",
    rf"(?:do not|don ?t|never) (?:text|message|contact|spam|bother|sms)(?: me| us| this number| my number){WHEN}",
    rf"(?:do not|don ?t|never) send(?: me| us)?{THINGS}{WHEN}",
    rf"no more(?: text messages| texts| messages| sms){WHEN}",
    r"unsubscribe(?: me| us| this number)?(?: from (?:this|these|your|the|all)(?: (?:texts?|messages?|sms|list))?)?",
    r"(?:take|remove|delete|get) (?:me|us|my number|this number) (?:off|from|off of) (?:your|this|the)"
    r"(?: (?:text|texting|sms|phone|contact|mailing|marketing))? list",
    r"opt (?:me |us )?out",
    r"(?:i|we) ?(?:want|wish|would like|d like|like)(?: you)? to (?:opt out|unsubscribe|stop)(?: receiving| getting| sending)?"
    rf"{WHOM}{THINGS}{WHEN}",
    r"i (?:revoke|withdraw) (?:my )?consent",
    r"leave me alone",
]
OUTRIGHT = re.compile("|".join(f"(?:{each})" for each in CLEARLY))
COURTESY = r"(?:please|pls|plz|kindly|just|hi|hey|hello|sorry|ok|okay|thanks|thank you|thx|now|asap|can you|could you|will you)"
BEFORE, AFTER = re.compile(rf"^(?:{COURTESY} )+"), re.compile(rf"(?: {COURTESY})+$")
SENTENCE = re.compile(r"[.,;:!?\n]+")
APOSTROPHES = re.compile("[’‘'`´]")
NO_LETTER = re.compile(r"[\W_]+")  # a letter of any script is one: "我不想 cancel" does not say "cancel"


def meaning(text: str, taken_for: str = "") -> Meaning:
    """Say what is meant by a text. `taken_for` is what the provider took it for, if it looks for such words itself.

    A YES may be the answer to a question as well: it means that only where there is something to start again.
    """
    if taken_for in TAKEN_FOR:
        return TAKEN_FOR[taken_for]
    plain = unicodedata.normalize("NFKC", text).casefold()
    word = "".join(_words(plain).split())
    if word in STOP:
        return "stop"
    if word in START:
        return "start"
    if word in HELP:
        return "help"
    return "stop" if any(_says_stop(each) for each in (plain, *SENTENCE.split(plain))) else "reply"


def is_yes(text: str) -> bool:
    """Say whether a text is a YES and no more."""
    return _words(text.casefold()) == "yes"


def _says_stop(sentence: str) -> bool:
    said = AFTER.sub("", BEFORE.sub("", _words(sentence)))
    return bool(OUTRIGHT.fullmatch(said)) or (said != _words(sentence) and said in ("stop", "unsubscribe"))


def _words(sentence: str) -> str:
    return " ".join(NO_LETTER.sub(" ", APOSTROPHES.sub("", sentence)).split())
