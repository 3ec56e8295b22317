"""The API, and beside it where the stand-in tells what became of a message: `python -m tests.promises.chaotic_api --port N`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import uvicorn
from pydantic import BaseModel

from api.app import create_app
from events.outcomes import Outcome, came
from settings import Settings


class Told(BaseModel):
    channel: str
    key: str
    id: str


def main(port: int) -> None:
    app = create_app(Settings())

    @app.post("/stand-in")
    async def told(about: Told) -> None:
        outcome = Outcome("delivered", f"delivered/{about.id}", datetime.now(UTC), about.key, about.channel, about.id)
        await came(app.state.store, outcome)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[sys.argv.index("--port") + 1]))
