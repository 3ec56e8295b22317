"""An API that reads calls and stores nothing: what `bench.ingest` measures ours beside."""

from __future__ import annotations

from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/v1/track")
@app.post("/v1/batch")
async def collect(request: Request) -> dict[str, bool]:
    """Read the body, and say that all is well."""
    await request.json()
    return {"success": True}
