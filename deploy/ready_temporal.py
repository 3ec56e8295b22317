"""`python -m deploy.ready_temporal`: see to it that the configured Temporal has our namespace and search attributes."""

from __future__ import annotations

import asyncio

from connecting import connect
from deploy.ending import end
from engine.prepare import prepare
from settings import Settings

PATIENCE = 120.0  # seconds: a new attribute is known everywhere only when the server's caches have turned over


async def main() -> None:
    """Return when runs can be started there; may be run any number of times. Raises what `prepare` raises."""
    await prepare(await connect(Settings()), timeout=PATIENCE)


if __name__ == "__main__":
    asyncio.run(main())
    end(0)
