"""What is told of a message that was not sent holds nothing private: not in the log, the ledger, the receipt or the history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.api.failure.v1 import Failure as TemporalFailure
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.exceptions import ApplicationError

from activities.transport import Ambiguous, Failure, OutOfReach, Throttled, Undeliverable
from tests.activities.house import House, Provider, write_template
from workflows.traits import TRAITS, Private, Traits


@pytest.fixture
def private() -> Iterator[None]:
    class Patient(Traits):
        ill: Private[str]
        file: Private[dict[str, Any]]
        stage: Private[int]

    yield
    for name in Patient.model_fields:
        del TRAITS[name]


@pytest.mark.parametrize(
    ("text", "traits", "secret"),
    [
        ("{{ {'a': 1}[user.traits.ill] }}", {"ill": "Cancer"}, "Cancer"),
        ("{{ {'a': 1}[user.traits.ill | lower] }}", {"ill": "Cancer"}, "cancer"),
        ("{{ {'a': 1}[user.traits.ill] }}", {"ill": "f!"}, "f!"),
        ("{{ {'a': 1}[user.traits.file.codes[0]] }}", {"file": {"codes": ["C50.9"]}}, "C50.9"),
        ("{{ user.traits.file.at | date }}", {"file": {"at": "2020-13-77"}}, "2020-13-77"),
        ("{{ user.traits.stage | date }}", {"stage": 48151}, "48151"),
        ("{% include 'sms/' ~ user.traits.ill | lower ~ '.txt' %}", {"ill": "Cancer"}, "cancer"),
        ("{% include 'sms/in-' ~ user.traits.ill | lower ~ '.txt' %}", {"ill": "Cancer"}, "cancer"),
        ("{% include 'sms/un-' ~ user.traits.ill | lower ~ '.txt' %}", {"ill": "Cancer"}, "cancer"),
    ],
)
async def test_where_traits_are_private_a_templates_error_is_told_by_its_kind_and_place(
    house: House, private: None, caplog: pytest.LogCaptureFixture, text: str, traits: dict[str, Any], secret: str
) -> None:
    write_template(house.folder, "sms/in-cancer.txt", "one\n{{ nope }}")
    write_template(house.folder, "sms/un-cancer.txt", "one\n{% if %}")
    await house.change_person(traits=traits)
    for channel, name, before in (("email", "email/note.mjml", "subject: A note\n---\n"), ("sms", "sms/note.txt", "a\nb\n")):
        write_template(house.folder, name, before + text)
        receipt = await house.send(channel, step=f"send:{channel}")
        assert receipt.reason.startswith(f"template: {name}:3: ")
        assert secret not in receipt.reason + (await house.row(f"send:{channel}")).reason + caplog.text


async def test_where_traits_are_private_a_header_is_told_of_without_what_it_says(house: House, private: None) -> None:
    await house.change_person(traits={"ill": "Cancer"})
    write_template(house.folder, "email/note.mjml", "subject: {{ user.traits.ill | date }}\n---\n<mjml/>")
    assert (await house.send()).reason == "template: email/note.mjml: subject: ValueError"
    write_template(house.folder, "push/note.txt", "title: x\naction: {{ user.traits.ill }}\n---\n")
    assert "Cancer" not in (await house.send("push", step="send:2")).reason


@pytest.mark.parametrize("kind", [Undeliverable, OutOfReach, Throttled, Ambiguous])
async def test_where_traits_are_private_a_providers_words_are_not_told(
    house: House, private: None, caplog: pytest.LogCaptureFixture, kind: type[Failure]
) -> None:
    answer = kind("the mail server says 550: it contains Cancer", code="SMTP 550")
    house.configure(on_ambiguous={"email": "resend"})
    house.live(email=Provider(answer))
    told = ""
    try:
        told = str(await house.send())
    except ApplicationError as error:
        failure = TemporalFailure()
        DefaultFailureConverter().to_failure(error, DataConverter.default.payload_converter, failure)
        told = str(failure)
    assert "SMTP 550" in told
    assert "Cancer" not in told + (await house.row()).reason + caplog.text


async def test_without_private_traits_a_providers_words_are_told_in_full(house: House) -> None:
    house.live(email=Provider(Undeliverable("the mail server says 550 we take no poems", code="SMTP 550")))
    assert (await house.send()).reason == "the mail server says 550 we take no poems"
