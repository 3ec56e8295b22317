"""An HTTP POST to an endpoint of the team's: to public addresses only, whatever its name turns out to mean."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from activities.http import client

AZURES_OWN = IPv4Address("168.63.129.16")  # looks public, and answers each virtual machine there about itself
PORTS = {"https": 443, "http": 80}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NotPublic(Exception):
    """An endpoint is somewhere that webhooks do not go."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, in the order in which to try them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def post(
    url: str, body: bytes, headers: Mapping[str, str], *, loopback: bool = False, resolve: Resolve = resolve
) -> tuple[int, timedelta | None]:
    """Return the status of the answer, and after how long it wants to be asked again.

    The host's name is looked up once, and the connection goes to what was looked at: a name that means something else a moment
    later gets nobody anywhere. No redirect is followed, no proxy used, and of the answer no more is read than its head. With
    `loopback`, this machine may be reached too, and without TLS.

    Raises NotPublic; OSError where the name is nobody's; httpx.HTTPError without an answer.
    """
    there = httpx.URL(url)
    host = there.raw_host.decode("ascii")
    addresses = await resolve(host, there.port or PORTS[there.scheme])
    for address in addresses:
        _refuse_unless_public(address, there.scheme, loopback=loopback)
    async with client(direct=True) as http:
        for address in addresses[:-1]:
            try:
                return await _post(http, there, host, address, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await _post(http, there, host, addresses[-1], body, headers)


async def _post(
    http: httpx.AsyncClient, there: httpx.URL, host: str, address: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, timedelta | None]:
    """Post to that address, as to the host: it is the host's certificate that has to fit."""
    named = {**headers, "host": there.netloc.decode("ascii")}
    request = http.build_request(
        "POST", there.copy_with(host=address), content=body, headers=named, extensions={"sni_hostname": host}
    )
    answer = await http.send(request, stream=True)
    await answer.aclose()
    return answer.status_code, retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC))


def _refuse_unless_public(address: str, scheme: str, *, loopback: bool) -> None:
    if loopback and _embedded(ip_address(address)).is_loopback:
        return
    if not is_public(address):
        raise NotPublic("the endpoint is not at a public address")
    if scheme != "https":
        raise NotPublic("the endpoint is not https, and a webhook may say private things")


def is_public(address: str) -> bool:
    """Say whether an address is one of the public internet: not of this machine, its network, its cloud, or many at once."""
    at = ip_address(address)
    inner = _embedded(at)
    if inner != at:
        return is_public(str(inner))
    of_a_site = isinstance(at, IPv6Address) and at.is_site_local  # fec0::/10, which is out of use, and in use all the same
    return at.is_global and not (at.is_multicast or at.is_reserved or of_a_site or at == AZURES_OWN)


def _embedded(at: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address leads to, or else itself."""
    if isinstance(at, IPv4Address):
        return at
    return at.ipv4_mapped or at.sixtofour or (at.teredo and at.teredo[1]) or at


def retry_after(stated: str, now: datetime) -> timedelta | None:
    """Return what a Retry-After says, in seconds or as a date (RFC 9110, 10.2.3); None for nothing of the kind."""
    if stated.isascii() and stated.isdecimal() and len(stated) < 7:
        return timedelta(seconds=int(stated))
    try:
        at = parsedate_to_datetime(stated)
    except ValueError:
        return None
    return max(at.replace(tzinfo=at.tzinfo or UTC) - now, timedelta(0))
