"""A provider in a process of its own: `python -m tests.promises.provider_stand_in PORT LOG CALLBACKS MODES SEED`.

It writes down whatever it accepts, in a file that it only ever appends to. `POST /CHANNEL` sends a message, once by its
Idempotency-Key if there is one; `GET /CHANNEL?to=…&text=…` lists what it has accepted, if it can tell. How it misbehaves is drawn
for each call, by MODES: a JSON object of shares in percent.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

DELAY_SECONDS = 3.0  # longer than an activity may take
LATE_SECONDS = 4.0
HANG_UP = 0

# What happens in each mode: whether the message is accepted, and what is answered.
ACCEPTED, REFUSED = True, False
MODES: dict[str, tuple[bool, int]] = {
    "plain": (ACCEPTED, 200),
    "delay": (ACCEPTED, 200),
    "drop": (ACCEPTED, HANG_UP),
    "fail": (ACCEPTED, 500),
    "lose": (REFUSED, HANG_UP),
    "throttle": (REFUSED, 429),
    "away": (REFUSED, 503),
}


@dataclass
class Provider:
    """What it has accepted, and how it misbehaves."""

    log: Path
    callbacks: str
    shares: dict[str, int]
    seed: str
    taken: dict[tuple[str, str], str] = field(default_factory=dict)  # its id, by channel and idempotency key
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def mode(self, key: str) -> str:
        """Draw what is done with this call: the same for the same message and number of call."""
        with self.lock:
            number = self.calls[key] = self.calls.get(key, 0) + 1
        drawn = random.Random(f"{self.seed}/{key}/{number}").uniform(0, 100)
        for mode, share in self.shares.items():
            if mode in MODES and drawn < share:
                return mode
            drawn -= share if mode in MODES else 0
        return "plain"

    def accept(self, message: dict[str, Any], idempotency_key: str | None) -> str:
        """Take a message, and write it down; return its id, which is that of before if its key was there before."""
        with self.lock:
            known = self.taken.get((message["channel"], idempotency_key)) if idempotency_key else None
            if known is not None:
                return known
            taken = {**message, "id": f"{message['channel']}-{len(self.messages)}", "at": time.time()}
            self.messages.append(taken)
            if idempotency_key:
                self.taken[message["channel"], idempotency_key] = taken["id"]
            with self.log.open("ab", buffering=0) as log:
                log.write(json.dumps(taken).encode() + b"\n")
                os.fsync(log.fileno())
        if self.chance("tell", message["key"]):
            threading.Timer(LATE_SECONDS, self.tell, (taken,)).start()
        return str(taken["id"])

    def chance(self, what: str, key: str) -> bool:
        return random.Random(f"{self.seed}/{what}/{key}").uniform(0, 100) < self.shares.get(what, 0)

    def find(self, channel: str, to: str, text: str) -> list[str]:
        with self.lock:
            return [each["id"] for each in self.messages if (each["channel"], each["to"], each["text"]) == (channel, to, text)]

    def tell(self, message: dict[str, Any]) -> None:
        """Tell that a message was delivered: late, and twice."""
        told = {"channel": message["channel"], "key": message["key"], "id": message["id"]}
        request = Request(self.callbacks, json.dumps(told).encode(), {"Content-Type": "application/json"})
        done = 0
        for _ in range(20):
            try:
                urlopen(request, timeout=10).close()
                done += 1
            except OSError:
                time.sleep(1)
            if done == 2:
                return


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def serve(port: int, provider: Provider) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            channel = self.path.strip("/")
            mode = provider.mode(message["key"])
            accepts, status = MODES[mode]
            id = provider.accept({**message, "channel": channel}, self.headers.get("Idempotency-Key")) if accepts else ""
            if mode == "delay" or "X-Linger" in self.headers:
                time.sleep(DELAY_SECONDS)
            self.answer(status, {"id": id})

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(place.query).items()}
            if not asked:
                self.answer(200, {"accepted": len(provider.messages)})
            elif provider.chance("blind", asked["to"]):
                self.answer(503, {})
            else:
                self.answer(200, {"ids": provider.find(place.path.strip("/"), asked["to"], asked["text"])})

        def answer(self, status: int, body: dict[str, Any]) -> None:
            self.close_connection = True
            if status == HANG_UP:
                return
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with Server(("127.0.0.1", port), Handler) as server:
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    port, log, callbacks, shares, seed = sys.argv[1:]
    serve(int(port), Provider(Path(log), callbacks, json.loads(shares), seed))
