"""Who was erased? Known by keyed hashes of their names, and by nothing else."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from store.hashing import hash_of
from store.impersonal import Erased
from store.many import among

erased = Erased.__table__  # type: ignore[attr-defined]

ours = select(erased.c.hash).where(among(erased.c.hash, "hashes"))


async def erased_among(connection: AsyncConnection, names: Collection[str]) -> set[str]:
    """Return which of these names were an erased person's. Ask it of names that nobody has, before somebody gets one."""
    hashes = {hash_of(connection, name): name for name in names}
    return {hashes[each] for each in await connection.scalars(ours, {"hashes": list(hashes)})}
