"""What somebody means who writes back."""

from __future__ import annotations

import pytest

from events.opt_out import meaning

STOPS = """
STOP
 stop.
Stop!!!
s t o p
STOP 🛑
Unsubscribe
END
quit
STOPALL
Stop all
REVOKE
OptOut
opt-out
Opt out
CANCEL
Please stop
STOP please, thanks
please stop texting me
Please stop texting me!
STOP SENDING ME MESSAGES
stop sending these texts
Don't text me
Don’t text me again
do not contact me anymore
Wrong number. Please stop texting me.
hi, can you stop messaging me
Take me off your list
remove my number from this mailing list
unsubscribe me please
I want to opt out
I would like to stop receiving these messages
I'd like to unsubscribe
I’d like to opt out, please
No more texts
I revoke my consent
leave me alone
"""
REPLIES = """
Don't stop texting me
I can't stop laughing
stop by at 5?
Can you stop by later?
Please cancel my appointment
when does it end
I quit my job
do not text me before 9
stop the delivery please
please stop texting me at work, my private number is better
remove me from the guest list
Oh stop it, you're too kind
The bus stop is closed
is there an end to it
我不想 cancel
quité
не stop
Пожалуйста, не stop!
Stöp
Please don't stop texting me
stop by tomorrow
thanks!
please
no
🛑
"""


@pytest.mark.parametrize("text", STOPS.strip("\n").splitlines())
def test_a_clear_stop_is_one(text: str) -> None:
    assert meaning(text) == "stop"


@pytest.mark.parametrize("text", [*REPLIES.strip("\n").splitlines(), ""])
def test_what_is_not_clear_is_a_reply_for_a_person_to_read(text: str) -> None:
    assert meaning(text) == "reply"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("START", "start"), ("Yes!", "start"), ("unstop", "start"), ("HELP", "help"), ("help?", "help"), ("Info", "help")],
)
def test_other_words_that_twilio_knows(text: str, meant: str) -> None:
    assert meaning(text) == meant


def test_what_twilio_took_it_for_goes_before_our_own_reading() -> None:
    assert meaning("ARRÊT", "STOP") == "stop"
    assert meaning("STOP", "HELP") == "help"
    assert meaning("STOP", "SOMETHING ELSE") == "stop"
