"""Names and addresses as keyed hashes: they can be known again, and not read."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy.ext.asyncio import AsyncConnection


def hash_of(connection: AsyncConnection, name: str) -> str:
    """Return the HMAC-SHA256 of a name, in hex, keyed with the store's erasure key."""
    assert connection.sync_connection is not None
    key: str = connection.sync_connection.get_execution_options()["sojourn_erasure_key"]
    return hmac.new(key.encode(), name.encode(), hashlib.sha256).hexdigest()
