"""Text messages through Twilio's Messages API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from activities.http import client, speaking_to
from activities.provider_errors import ProviderErrors, provider_errors
from activities.refusals import refusal
from activities.transport import Ambiguous, Failure, OutOfReach, Parcel, Throttled

LOOKED_AT = 200  # of the messages to one number, when one is looked up
SKEW = timedelta(minutes=1)  # between the database's clock and Twilio's


@dataclass(frozen=True)
class Sms:
    """Sends from a number, or a messaging service's sid (MG…). Twilio takes no idempotency key.

    It tells what becomes of a message at `callback`, an address of ours, to which the message's key is added: the key comes back
    with each word of Twilio's, its sid or not.
    """

    account_sid: str
    auth_token: str
    sender: str
    base_url: str | None = None
    callback: str | None = None
    errors: ProviderErrors = field(default_factory=provider_errors)

    @property
    def keyed(self) -> bool:
        return False

    async def deliver(self, parcel: Parcel) -> str:
        """Return the message's sid."""
        wanted = {"messaging_service_sid" if self.sender.startswith("MG") else "from_": self.sender}
        if self.callback is not None:
            wanted["status_callback"] = f"{self.callback}?{urlencode({'key': parcel.key})}"
        try:
            with speaking_to("Twilio"):
                async with client() as http:
                    message = await self._client(http).messages.create_async(
                        to=parcel.recipients[0], body=parcel.content.text, **wanted
                    )
        except TwilioRestException as error:
            raise _classed(error, self.errors) from error
        except ValueError as error:
            raise Ambiguous("what answers is not Twilio") from error
        return str(message.sid)

    async def find(self, parcel: Parcel, since: datetime) -> Sequence[str]:
        """Return the sids of the messages to that number since then that say the same.

        All of them are listed, and not by when they were sent: one that Twilio has yet to send has no such date. Raises Ambiguous
        where another text went there: Twilio may have changed ours, as its smart encoding does.
        """
        with speaking_to("Twilio"):
            async with client() as http:
                listed = await self._client(http).messages.list_async(to=parcel.recipients[0], limit=LOOKED_AT)
        recent = [each for each in listed if each.date_created is None or each.date_created >= since - SKEW]
        same = [str(each.sid) for each in recent if each.body == parcel.content.text]
        if not same and (recent or len(listed) == LOOKED_AT):
            raise Ambiguous("Twilio has other messages to that number", "Twilio has other messages to that number")
        return same

    def _client(self, http: httpx.AsyncClient) -> Client:
        client = Client(self.account_sid, self.auth_token, http_client=_Http(http))
        if self.base_url is not None:
            client.api.base_url = self.base_url
        return client


class _Http(AsyncHttpClient):  # type: ignore[misc]
    """Carries the requests of Twilio's client, whose own carrier needs what aiohttp has deprecated."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(None, True, None)
        self.http = http

    async def request(
        self,
        method: str,
        url: str,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        answer = await self.http.request(
            method, url, params=params, data=data, headers=headers, auth=auth, follow_redirects=allow_redirects
        )
        return Response(answer.status_code, answer.text, answer.headers)


def _classed(error: TwilioRestException, errors: ProviderErrors) -> Exception:
    """Tell refusals from troubles: by the code where the table has it, else by the HTTP status.

    https://www.twilio.com/docs/usage/twilios-response
    """
    told = f"Twilio {error.status}, code {error.code}"
    said = f"Twilio says {error.status}, code {error.code}: {error.msg}"
    otherwise: Failure | None = None
    match error.status:
        case 429:
            otherwise = Throttled(said, timedelta(seconds=1), told)
        case 401 | 403 | 503:  # our account, or nobody's: the person is not at fault, and an operator can help
            otherwise = OutOfReach(said, told)
        case status if status >= 500:
            return Ambiguous(said, told)
    return refusal(errors, "twilio", str(error.code), said, told, otherwise)
