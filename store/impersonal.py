"""The tables that are about nobody: keys, imports, how far segments are filled, and what is left of an erasure."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from store.columns import Document, Id, moment


class Import(SQLModel, table=True):
    """A file that is imported, and how far. Committed together with the events of its lines, so that none acts twice."""

    __tablename__ = "imports"

    digest: str = Field(primary_key=True)  # SHA-256 of the file as it is
    source: str  # its name, or "-"
    lines: int = 0  # read so far
    accepted: int = 0
    refused: int = 0
    begun_at: datetime = moment()
    finished_at: datetime | None = moment(default=None)


class Fill(SQLModel, table=True):
    """How far people have been judged anew by a definition that is new or changed."""

    __tablename__ = "segment_fills"

    segment: str = Field(primary_key=True)
    digest: str
    reached: int = Field(default=0, sa_type=Id)  # the row of the last person judged
    finished_at: datetime | None = moment(default=None)


class Key(SQLModel, table=True):
    """A key of the API, of which only a hash is kept. One name has several while it is rotated."""

    __tablename__ = "keys"

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    name: str = Field(index=True)
    scope: str  # ingest, read, inbox, admin
    hash: str = Field(unique=True)  # SHA-256 of the secret, which is of 256 random bits
    rate: float | None = None  # requests a second, by each process
    created_at: datetime = moment()
    expires_at: datetime | None = moment(default=None)
    revoked_at: datetime | None = moment(default=None)
    last_used_at: datetime | None = moment(default=None)  # to some minutes


class Erased(SQLModel, table=True):
    """A name of somebody who was erased, as a keyed hash: who comes by it again is not met again."""

    __tablename__ = "erased"

    hash: str = Field(primary_key=True)
    at: datetime = moment()


class Erasure(SQLModel, table=True):
    """What is left to do of an erasure: workflows whose histories Temporal may still have. Gone once it is done."""

    __tablename__ = "erasures"

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    hash: str
    workflow_ids: list[str] = Field(default_factory=list, sa_type=Document)
    busy_until: datetime | None = moment(default=None)  # up to when a router may start one more, by the database's clock
    at: datetime = moment()
