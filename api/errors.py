"""Every error, in one shape: {"error": {"code", "message"}}."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from socket import gaierror
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as StarletteHTTPException

from events.lookup import Ambiguous, Unknown
from store.outage import is_outage

log = logging.getLogger(__name__)

RETRY_AFTER = {"Retry-After": "1"}


class Problem(HTTPException):
    """What is wrong with a request: a code for programs, and one clear sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.code = code


class Error(BaseModel):
    code: str
    message: str


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: Error


def problems(when: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Document an operation's errors: `problems({404: "There is no such run."})`."""
    return {status: {"model": ErrorAnswer, "description": sentence} for status, sentence in when.items()}


def answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer with an error."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, dict(headers or {}))


async def on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    if isinstance(error, Problem):
        return answer(error.status_code, error.code, error.detail, error.headers)
    standard = HTTPStatus(error.status_code)
    message = error.detail
    if message == standard.phrase:  # the framework's own
        message = f"{request.method} {request.url.path}: {standard.phrase.lower()}; /docs lists what there is"
    return answer(error.status_code, standard.phrase.lower().replace(" ", "_"), message, error.headers)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return answer(422, "invalid", f"{place}: {first['msg']}")


async def on_ambiguous(request: Request, error: Exception) -> JSONResponse:
    return answer(409, "ambiguous", str(error))


async def on_unknown(request: Request, error: Exception) -> JSONResponse:
    return answer(404, "not_found", str(error))


async def on_no_store(request: Request, error: Exception) -> JSONResponse:
    """Answer that the store is away, if it is: a mistake of ours is a bug like any other."""
    if not is_outage(error):
        raise error
    log.error("%s %s: the database does not answer: %s", request.method, request.url.path, error)
    return answer(503, "database_unavailable", "the database does not answer; try again in a moment", RETRY_AFTER)


async def on_bug(request: Request, error: Exception) -> JSONResponse:
    return answer(500, "internal", "something is wrong on our side; it has been logged")


def handle_errors(app: FastAPI) -> None:
    """Answer every error in our shape. What is a bug is logged by the server, with its traceback."""
    app.add_exception_handler(StarletteHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Ambiguous, on_ambiguous)
    app.add_exception_handler(Unknown, on_unknown)
    for away in (DBAPIError, PoolTimeout, ConnectionError, TimeoutError, gaierror):
        app.add_exception_handler(away, on_no_store)
    app.add_exception_handler(Exception, on_bug)
