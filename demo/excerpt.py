"""Make the demo's excerpt of a real stream: `python demo/excerpt.py contributors.jsonl.gz` writes demo/excerpt.jsonl.gz.

Which calls are real and what is invented is told in demo/README.md.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

Call = dict[str, Any]

BEGIN = datetime.fromisoformat("2022-08-29T00:00:00+00:00")
END = datetime.fromisoformat("2023-01-16T00:00:00+00:00")
BUSIEST = 60  # a person's calls, above which the excerpt does without them
EXCERPT = Path(__file__).parent / "excerpt.jsonl.gz"
LOCALES = {"Etc/GMT-1": "de", "Etc/GMT-2": "de", "Etc/GMT+3": "pt-BR", "Etc/GMT+2": "pt-BR"}


def main(source: Path) -> None:
    with gzip.open(source, "rt") as lines:
        calls = excerpt([json.loads(line) for line in lines])
    write(calls, EXCERPT)
    people = {call["userId"] for call in calls}
    print(f"{len(calls)} calls of {len(people)} people, {calls[0]['timestamp']} to {calls[-1]['timestamp']}")


def excerpt(stream: list[Call]) -> list[Call]:
    """Cut out the window, leave out the busiest, and let each person's first call be an `identify` with what is invented."""
    inside = [call for call in stream if BEGIN <= datetime.fromisoformat(call["timestamp"]) < END]
    counts = Counter(call["userId"] for call in inside)
    kept = [call for call in inside if counts[call["userId"]] <= BUSIEST]
    return list(introduced(kept, {call["userId"]: call["traits"] for call in reversed(stream) if call["type"] == "identify"}))


def introduced(calls: Iterable[Call], profiles: dict[str, Call]) -> Iterator[Call]:
    """Yield the calls, and first an `identify` for each person who joined before the window, with the traits they had."""
    met: set[str] = set()
    for call in calls:
        user = call["userId"]
        if user not in met and call["type"] != "identify":
            same = {name: call[name] for name in ("userId", "timestamp", "context")}
            yield with_contact({"type": "identify", "messageId": f"i-excerpt-{user}", **same, "traits": profiles[user]})
        yield with_contact(call) if call["type"] == "identify" else call
        met.add(user)


def with_contact(identify: Call) -> Call:
    """Add an invented address, number, device token and locale, the same for a person each time.

    Nine in ten have an address at example.org, the rest only a number; every third has a device.
    """
    user, context = identify["userId"], identify["context"]
    digest = hashlib.sha256(user.encode()).digest()
    traits = {**identify["traits"], "locale": LOCALES.get(context.get("timezone", ""), "en")}
    if digest[0] % 10:
        traits["email"] = f"{user}@example.org"
    if not digest[0] % 10 or digest[1] % 4 == 0:
        traits["phone"] = f"+1202555{100 + int.from_bytes(digest[2:4], 'big') % 100:04d}"
    if digest[4] % 3 == 0:
        context = {**context, "device": {"token": f"demo-{digest[5:17].hex()}", "type": "android"}}
    return {**identify, "context": context, "traits": traits}


def write(calls: Iterable[Call], path: Path) -> None:
    """Write one call a line, so that the same calls give the same bytes."""
    text = "".join(json.dumps(call, separators=(",", ":")) + "\n" for call in calls)
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(text.encode())
    path.write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
