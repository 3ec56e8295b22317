"""Many values, or many rows, as one parameter: a statement is made once, and both databases read them faster than one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Dialect,
    Insert,
    Select,
    Table,
    Text,
    TypeDecorator,
    Update,
    bindparam,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

ROWS = "rows"  # on PostgreSQL, the one parameter of `insert_rows` and `update_rows`


class Values(TypeDecorator[Any]):
    """A list of values of one type: an array, and on SQLite, which has none, JSON."""

    impl = JSON
    cache_ok = True

    def __init__(self, each: TypeEngine[Any]) -> None:
        super().__init__()
        self.each = each

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(JSON() if dialect.name == "sqlite" else postgresql.ARRAY(self.each))

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> list[Any]:
        return list(value or ())


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # else SQLAlchemy compares it with 1 on SQLite, which then uses no index


def among(where: Any, name: str) -> ColumnElement[bool]:
    """Say that a column has one of the values of the parameter of that name, which is any collection."""
    return _Among(where, bindparam(name, type_=Values(where.type)))


@compiles(_Among)
def _any(element: _Among, compiler: Any, **options: Any) -> str:
    where, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{where} = ANY ({values})"


@compiles(_Among, "sqlite")
def _in(element: _Among, compiler: Any, **options: Any) -> str:
    where, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{where} IN (SELECT value FROM json_each({values}))"


async def insert_rows(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert these rows, which all have the same columns, in their order."""
    names = tuple(rows[0])
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" for _ in names)
        await _one_by_one(connection, f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", table, names, rows)
    else:
        await connection.execute(_insert(table, names), {ROWS: to_json(rows).decode()})


async def update_rows(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Set the columns that these rows have, all the same ones, in the rows of the same `id`, which comes last."""
    *names, _ = tuple(rows[0])
    if connection.dialect.name == "sqlite":
        places = ", ".join(f"{name} = ?" for name in names)
        await _one_by_one(connection, f"UPDATE {table.name} SET {places} WHERE id = ?", table, tuple(rows[0]), rows)
    else:
        await connection.execute(_update(table, tuple(names)), {ROWS: to_json(rows).decode()})


async def _one_by_one(
    connection: AsyncConnection, statement: str, table: Table, names: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """SQLite reads rows faster from its caller than from JSON."""
    dialect = connection.dialect
    how = [(name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names]
    written = [tuple(row[name] if write is None else write(row[name]) for name, write in how) for row in rows]
    await connection.exec_driver_sql(statement, written)


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Insert:
    return insert(table).from_select(names, _given(table, names))


@cache
def _update(table: Table, names: tuple[str, ...]) -> Update:
    given = _given(table, (*names, "id")).subquery("given")
    return update(table).where(table.c.id == given.c.id).values({name: given.c[name] for name in names})


def _given(table: Table, names: Sequence[str]) -> Select[Any]:
    """Select the rows out of their one parameter."""
    rows = as_type(bindparam(ROWS, type_=Text()), JSON())
    typed = [column(name, table.c[name].type) for name in names]
    return select(func.json_to_recordset(rows).table_valued(*typed).render_derived(with_types=True))
