"""The server's two PostgreSQL databases, made and brought up to date with Temporal's own tool."""

import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from engine.errors import EngineError
from engine.process import LOOPBACK

HISTORY = "temporal"
VISIBILITY = "temporal_visibility"

_SCHEMAS = {HISTORY: "postgresql/v12/temporal", VISIBILITY: "postgresql/v12/visibility"}


def set_up(tool: Path, url: str) -> None:
    """Make HISTORY and VISIBILITY on the PostgreSQL server of `url`, or bring them to the tool's version.

    Raises EngineError with the tool's last words when it fails.
    """
    for database, schema in _SCHEMAS.items():
        update = ["update-schema", "--schema-name", schema]
        _check(_run(tool, url, database, "create-database"), database)
        if _run(tool, url, database, *update).returncode:  # not numbered yet: setting that up again would start from 0.0
            _check(_run(tool, url, database, "setup-schema", "-v", "0.0"), database)
            _check(_run(tool, url, database, *update), database)


def _run(tool: Path, url: str, database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    parts = urlsplit(url)
    environment = {
        "SQL_PLUGIN": "postgres12",
        "SQL_HOST": parts.hostname or LOOPBACK,
        "SQL_PORT": str(parts.port or 5432),
        "SQL_USER": unquote(parts.username or ""),
        "SQL_PASSWORD": unquote(parts.password or ""),
        "SQL_DATABASE": database,
    }
    return subprocess.run([tool, *arguments], env=environment, capture_output=True, text=True)


def _check(done: subprocess.CompletedProcess[str], database: str) -> None:
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise EngineError(f"The schema of the database {database} could not be set up: {said[-1]}")
