"""Posts to endpoints: to public addresses, and to nowhere else."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

import httpx
import pytest

import activities.http
from activities.posting import NotPublic, is_public, post, retry_after
from tests.activities.house import NOON
from tests.activities.webserver import Answer, serving


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",  # carriers' own
        "100.100.100.200",  # Alibaba's metadata
        "169.254.169.254",  # everybody else's
        "168.63.129.16",  # Azure's
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fec0:0:0:ffff::1",
        "fc00::1",
        "fd00:ec2::254",  # Amazon's metadata
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo, of 127.0.0.1
        "2001:db8::1",
    ],
)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "2002:101:101::"])
def test_an_address_that_is_public_is_known(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """A server that nobody is to reach, as the addresses it is known by."""
    with serving(lambda request: Answer(200)) as server:
        port = httpx.URL(server.url).port
        yield [f"{scheme}://{host}:{port}/" for scheme in ("http", "https") for host in HOSTS]
        assert server.requests == []


HOSTS = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0", "LOCALHOST.")


async def test_nothing_goes_to_this_machine_however_it_is_written(asked: list[str]) -> None:
    for url in asked:
        with pytest.raises((NotPublic, OSError)):
            await post(url, b"{}", {})


async def test_one_address_that_is_not_public_is_enough(asked: list[str]) -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["1.1.1.1", "127.0.0.1"]

    with pytest.raises(NotPublic):
        await post("https://hooks.example/", b"{}", {}, resolve=both)


async def test_without_tls_nothing_goes_anywhere_public() -> None:
    async def public(host: str, port: int) -> Sequence[str]:
        return ["192.0.9.1"]

    with pytest.raises(NotPublic, match="not https"):
        await post("http://hooks.example/", b"{}", {}, resolve=public)


class Wire(httpx.AsyncBaseTransport):
    """Remembers to which address, as which host, something would have gone. Addresses in `dead` do not answer."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.gone: list[tuple[str, str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.gone.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
        if request.url.host in self.dead:
            raise httpx.ConnectError("no route")
        return httpx.Response(204)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire("2606:4700::1")
    monkeypatch.setattr(httpx, "AsyncClient", partial(httpx.AsyncClient, transport=wire))
    return wire


async def test_the_connection_goes_to_the_address_that_was_looked_at_under_the_hosts_own_name(wire: Wire) -> None:
    """A name that is public when it is checked, and something else a moment later, is looked up once."""
    answers = iter((["2606:4700::1", "1.1.1.1"], ["127.0.0.1"]))

    async def rebinding(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("xn--hks-sna.example", 8443)
        return next(answers)

    assert (await post("https://höks.example:8443/a", b"{}", {}, resolve=rebinding))[0] == 204
    name = "xn--hks-sna.example"
    assert wire.gone == [("2606:4700::1", f"{name}:8443", name), ("1.1.1.1", f"{name}:8443", name)]


async def test_a_certificate_has_to_be_the_hosts_not_the_addresss() -> None:
    """The server here has none at all, so no TLS comes about, and nothing is said."""

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    with serving(lambda request: Answer(200)) as server:
        url = server.url.replace("http://127.0.0.1", "https://hooks.example")
        with pytest.raises(httpx.ConnectError):
            await post(url, b"{}", {}, loopback=True, resolve=here)
    assert activities.http._tls_context().check_hostname
    assert activities.http._tls_context().verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("stated", "after"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        ("Mon, 06 Jan 2025 12:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 06 Jan 2025 11:00:30 GMT", timedelta(0)),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(stated: str, after: timedelta | None) -> None:
    assert retry_after(stated, NOON) == after
