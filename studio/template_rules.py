"""Does each message have words that can be filled in, and are they its reader's? One small function a rule; `RULES` is all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from zoneinfo import ZoneInfo

from activities.render import A_MOMENT, FOR_THE_READER, HEADERS, OWN_NAMES, endings, moment_written
from activities.templates import Parsed
from studio.broken import Fault, faults, is_mjml
from studio.languages import expected, languages
from studio.revealing_rules import reveals_too_much, sensitive_trait
from studio.shipment import Sent, Shipment
from studio.uses import Use
from workflows.check import Finding
from workflows.definition import EVENTS
from workflows.messages import TO_SYSTEMS
from workflows.traits import ADDRESSES, TRAITS
from workflows.transitions import ConsentRequested

USER = ("id", "zone", "locale", "email", "phone", "traits")
TO_CONFIRM = frozenset(("title", "confirm_url"))  # which Sojourn adds to the event that asks for a yes to be confirmed
ELSEWHERE = {"email": "user.email", "phone": "user.phone", "timezone": "user.zone", "locale": "user.locale"}
# What tells one reader's message from another's no more than an address on an envelope does.
NAMES = frozenset(
    ("name", "firstname", "lastname", "fullname", "givenname", "familyname", "surname", "nickname", "displayname", "salutation")
)
THE_SAME_FOR_ALL = frozenset(("journey", *FOR_THE_READER))
Complaint = tuple[str, int, str, str]  # the file, its line, why, and what to write instead


def missing_template(shipment: Shipment) -> Iterator[Complaint]:
    """A message without a template is sent to nobody."""
    for template, all_sent in shipment.sent.items():
        if not shipment.of(template):
            close = get_close_matches(template, sorted(shipment.names), n=1)
            hint = f", or name {close[0]}, which there is" if close else ""
            expected = shipment.templates / _file(template)
            for sent in all_sent:
                yield sent.file, sent.given.line, f"there is no template {template}", f"write {expected}{hint}"


def broken_template(shipment: Shipment) -> Iterator[Complaint]:
    """What Jinja cannot read, or has a header that is none, is filled in for nobody."""
    sent = {part for template in shipment.sent for file in shipment.of(template) for part in shipment.parts(file)}
    headed = {file: template.partition("/")[0] for template in shipment.sent for file in shipment.of(template)}
    for file in sorted({*shipment.files, *sent}):
        for fault in faults(shipment.library, file):
            yield shipment.path(fault.file), fault.line, fault.why, fault.fix
        if file in headed:
            yield from ((shipment.path(file), each.line, each.why, each.fix) for each in _header(shipment, file, headed[file]))


def _header(shipment: Shipment, file: str, channel: str) -> Iterator[Fault]:
    try:
        parsed: Parsed = shipment.library.parsed(file)
    except Exception:  # which has been told
        return
    needed, possible = HEADERS[channel]
    for name in sorted(needed - parsed.header.keys()):
        yield Fault(file, 1, f"its header has no {name}", f"begin the file with a line `{name}: …` and a line `---`")
    for name, (line, value) in parsed.header.items():
        if name not in needed | possible or (name == "layout" and not file.endswith(".md")):
            useful = ", ".join(sorted(needed | possible)) or "no header"
            yield Fault(file, line, f"{name} in its header means nothing on {channel}", f"take it out; there {useful} is possible")
        elif name == "action" and "->" not in value and "{" not in value:
            yield Fault(file, line, f"its action {value!r} leads nowhere", "write it as `label -> address`")


def missing_language(shipment: Shipment) -> Iterator[Complaint]:
    """Whoever reads a journey in their language, and one of its messages in another, takes that for carelessness, and it is."""
    spoken = languages(shipment)
    wanted = expected(spoken)
    for template, tags in spoken.items():
        if missing := sorted(tag for tag in wanted - tags if tag.partition("-")[0] not in tags):
            first = shipment.of(template)[0]
            ending = first.rpartition(".")[2]
            files = " and ".join(str(shipment.templates / f"{template}.{tag}.{ending}") for tag in missing)
            why = f"{template} is not in {' and '.join(missing)}, which most of the templates are in"
            yield shipment.path(first), 1, why, f"write {files}"


def two_bodies(shipment: Shipment) -> Iterator[Complaint]:
    """Of a body in MJML and one in Markdown, for one language, only the first is ever sent."""
    for template in shipment.sent:
        files = shipment.of(template)
        for file in files:
            if file.endswith(".md") and (other := file.removesuffix(".md") + ".mjml") in files:
                yield shipment.path(file), 1, f"{other} is sent in its place", "keep one of them"


def words_of_another_topic(shipment: Shipment) -> Iterator[Complaint]:
    """Words that say what topic they are on are sent on no other: its readers have not been asked about that one."""
    for template, all_sent in shipment.sent.items():
        for file, line, topic in _terms(shipment, template, "topic"):
            for sent in all_sent:
                if sent.given.plain and sent.topic != topic:
                    why = f"{file} is on {topic}, and is sent on {sent.topic}"
                    yield shipment.path(file), line, f"{why} by {sent.journey.name} ({sent.place})", "let both say the same"


def words_that_are_over(shipment: Shipment) -> Iterator[Complaint]:
    """After the moment that its header names, a message is sent to nobody."""
    for template in shipment.sent:
        for file, line, text in _terms(shipment, template, "expires"):
            try:
                over = moment_written(text, ZoneInfo("UTC")) <= shipment.now
            except ValueError:
                yield shipment.path(file), line, f"expires is {text!r}, which is neither a day nor a moment", A_MOMENT
                continue
            if over:
                yield shipment.path(file), line, f"it is over since {text}", "give it new words, or take it out of its journey"


def _terms(shipment: Shipment, template: str, name: str) -> Iterator[tuple[str, int, str]]:
    """Yield what the header of each of its files says by that name, where it says so outright."""
    for file in shipment.of(template):
        try:
            header = shipment.library.parsed(file).header
        except Exception:  # which is told as a fault
            continue
        if name in header and "{" not in header[name][1]:
            yield file, *header[name]


def not_mjml(shipment: Shipment) -> Iterator[Complaint]:
    """What is not MJML becomes no e-mail."""
    for template in shipment.sent:
        for file in shipment.of(template) if template.startswith("email/") else ():
            if not any(_header(shipment, file, "email")) and (why := is_mjml(shipment.library, file)):
                yield shipment.path(file), 1, f"what it makes is not MJML: {why}", "begin it with <mjml>, and close what it opens"


def undeclared_variable(shipment: Shipment) -> Iterator[Complaint]:
    """A name that is not there when the message is filled in fails it, for everybody it was for."""
    for template, all_sent in shipment.sent.items():
        for file, uses in _uses(shipment, template):
            told = set[tuple[str, str]]()
            for use in uses:
                root = use.path[0]
                if (use.file, root) in told or not use.minds(1):
                    continue
                if use.closed:
                    told.add((use.file, root))
                    yield shipment.path(use.file), use.line, *_closed(root)
                elif root not in OWN_NAMES and (lacking := _without(all_sent, root)):
                    told.add((use.file, root))
                    yield shipment.path(use.file), use.line, *_not_given(root, template, file, lacking)


def _closed(name: str) -> tuple[str, str]:
    why = f"{name} cannot be seen in a macro or file that is taken in without context"
    return why, f"hand {name} over as an argument, or write `with context`"


def _without(all_sent: Sequence[Sent], name: str) -> Sequence[Sent]:
    return [each for each in all_sent if each.given.names is not None and name not in each.given.names]


def _not_given(name: str, template: str, file: str, lacking: Sequence[Sent]) -> tuple[str, str]:
    who = " and ".join(dict.fromkeys(f"{each.journey.name} ({each.place})" for each in lacking))
    through = "" if file.startswith(template) else f" through {file}"
    why = f"{name} is nothing that {who} gives {template}{through}"
    return why, f"add it to the message's data, or say {{{{ {name} | default(…) }}}}"


def undeclared_property(shipment: Shipment) -> Iterator[Complaint]:
    """What no declaration speaks of may be left out by whoever sends it, and then the message fails."""
    for template, all_sent in shipment.sent.items():
        fields = _fields(all_sent)
        for use in sorted({use for _, uses in _uses(shipment, template) for use in uses}, key=_in_place):
            match use.path:
                case ("event", name, *_) if fields is not None and name not in fields and use.minds(2):
                    who = " and ".join(dict.fromkeys(each.journey.name for each in all_sent))
                    why = f"no event that starts {who} declares {name!r}"
                    yield shipment.path(use.file), use.line, why, f"declare it, or say {{{{ event.{name} | default(…) }}}}"
                case ("user", name, *_) if name not in USER and use.minds(2):
                    why = f"user has no {name!r}, but {', '.join(USER)}"
                    yield shipment.path(use.file), use.line, why, f"ask for user.traits.{name}, if that is a trait"
                case ("user", "traits", name, *_) if use.minds(3) and (complaint := _trait(name)):
                    yield shipment.path(use.file), use.line, *complaint


def _fields(all_sent: Sequence[Sent]) -> frozenset[str] | None:
    """Return what the events that start these journeys say; None if some of them say what they like."""
    triggers = [trigger for each in all_sent for trigger in each.journey.triggers]
    if any(trigger.model_config.get("extra") == "allow" for trigger in triggers):
        return None
    names = {name for trigger in triggers for name in trigger.model_fields}
    aliases = {field.alias for trigger in triggers for field in trigger.model_fields.values() if field.alias}
    return frozenset(names | aliases | (TO_CONFIRM if ConsentRequested in triggers else set()))


def _trait(name: str) -> tuple[str, str] | None:
    if name in ADDRESSES:
        return f"{name} is kept apart from the traits", f"ask for {ELSEWHERE[name]}"
    if TRAITS and name not in TRAITS:
        return f"no trait {name!r} is declared", f"declare it, or say {{{{ user.traits.{name} | default(…) }}}}"
    return None


def uncounted_event(shipment: Shipment) -> Iterator[Complaint]:
    """An event that no class declares is counted under whatever name apps may send it, and a slip of the pen counts nothing."""
    readings = (
        shipment.read(part) for template in shipment.sent for file in shipment.of(template) for part in shipment.parts(file)
    )
    for file, line, event in sorted({each for reading in readings for each in reading.counted}):
        if event not in EVENTS:
            close = get_close_matches(event, sorted(EVENTS), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield shipment.path(file), line, f"did({event!r}) counts an event that nobody declares{hint}", "name a declared one"


def taken_name(shipment: Shipment) -> Iterator[Complaint]:
    """Data under one of Sojourn's own names fails the message."""
    for template, all_sent in shipment.sent.items():
        for sent in all_sent:
            for name in sorted(OWN_NAMES & (sent.given.names or frozenset())):
                yield sent.file, sent.given.line, f"the data of {template} uses Sojourn's own name {name}", "call it something else"


def name_only(shipment: Shipment) -> Iterator[Complaint]:
    """A message that greets by name and is otherwise everybody's says nothing that its reader's own doing has called for."""
    for template, all_sent in shipment.sent.items():
        personal = template.partition("/")[0] not in TO_SYSTEMS and any(_is_marketing(each) for each in all_sent)
        for file in shipment.of(template) if personal else ():
            readings = [shipment.read(part) for part in shipment.parts(file)]
            uses = [use for reading in readings for use in reading.uses if use.path[0] not in THE_SAME_FOR_ALL]
            counts = any(reading.counted or not reading.whole for reading in readings)
            if uses and not counts and all(_is_name(use.path) for use in uses):
                first = min(uses, key=_in_place)
                why = f"it greets by name ({'.'.join(first.path)}), and reads the same to everybody otherwise"
                yield shipment.path(first.file), first.line, why, "say what this person did or has, or leave the name out"


def _is_marketing(sent: Sent) -> bool:
    return sent.given.plain and not sent.given.said.transactional


def _is_name(path: Sequence[str]) -> bool:
    match path:
        case ["user", "traits", name] | ["user", name]:
            return name.replace("_", "").lower() in NAMES
        case ["user", "traits"]:
            return True  # which is asked on the way to a name
    return False


RULES: tuple[Callable[[Shipment], Iterator[Complaint]], ...] = (
    missing_template,
    broken_template,
    not_mjml,
    missing_language,
    two_bodies,
    words_of_another_topic,
    words_that_are_over,
    undeclared_variable,
    undeclared_property,
    uncounted_event,
    taken_name,
    name_only,
    sensitive_trait,
    reveals_too_much,
)


def findings(shipment: Shipment, rules: Sequence[Callable[[Shipment], Iterator[Complaint]]] = RULES) -> set[Finding]:
    """Return what is wrong with the templates, and with what journeys send by them."""
    return {
        Finding(file, line, rule.__name__.replace("_", "-"), why, fix) for rule in rules for file, line, why, fix in rule(shipment)
    }


def _uses(shipment: Shipment, template: str) -> Iterator[tuple[str, Sequence[Use]]]:
    """Yield each file of a template with what it asks for, in order."""
    for file in shipment.of(template):
        for part in shipment.parts(file):
            yield part, sorted(shipment.read(part).uses, key=_in_place)


def _in_place(use: Use) -> tuple[str, int, Sequence[str]]:
    return use.file, use.line, use.path


def _file(template: str) -> str:
    return f"{template}.{endings(template.partition('/')[0])[0]}"
