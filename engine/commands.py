"""What is started to serve: the commands, the ports they listen on and the files they read."""

import json
from dataclasses import dataclass
from pathlib import Path

from engine.config import DYNAMIC, PORTS_NEEDED, Json, dynamic_config, server_config, ui_config
from engine.process import LOOPBACK, free_ports, require_free

Commands = dict[str, list[str]]
"""By the name of their log file; the server is `server`."""


@dataclass(frozen=True)
class Ports:
    """The front door, the UI's (None without one) and those the official server's parts find each other by."""

    front: int
    ui: int | None
    inner: list[int]


def choose_ports(port: int, ui_port: int | None) -> Ports:
    """The ports asked for, which must be free (EngineError), and any free ones for 0."""
    with free_ports(PORTS_NEEDED + 2) as (front, ui, *inner):
        return Ports(
            front=require_free(port, "--port") if port else front,
            ui=require_free(ui_port, "--ui-port") if ui_port else ui if ui_port == 0 else None,
            inner=inner,
        )


def official_server(executable: Path, folder: Path, ports: Ports, stores: Json, *, shards: int) -> Commands:
    """The official server on `stores`, configured by files in `folder`."""
    dynamic = _write(folder / "dynamic.json", dynamic_config())
    config = server_config(stores, shards=shards, port=ports.front, ports=ports.inner, dynamic=dynamic)
    file = _write(folder / "server.json", config)
    return {"server": [str(executable), "--config-file", str(file), "--allow-no-auth", "start"]}


def official_ui(executable: Path, folder: Path, ports: Ports, namespace: str) -> Commands:
    """The official UI, none when no port is meant for it."""
    if ports.ui is None:
        return {}
    _write(folder / "ui.yaml", ui_config(f"{LOOPBACK}:{ports.front}", namespace, ports.ui))
    return {"ui": [str(executable), "--root", str(folder), "--config", ".", "--env", "ui", "start"]}


def cli_server(executable: Path, database: Path | None, ports: Ports, namespace: str) -> Commands:
    """The CLI's development server, which brings its own UI."""
    command = [str(executable), "server", "start-dev", "--ip", LOOPBACK, "--port", str(ports.front)]
    command += ["--headless"] if ports.ui is None else ["--ui-port", str(ports.ui)]
    command += ["--namespace", namespace, "--log-level", "warn"]
    for name, value in DYNAMIC.items():
        command += ["--dynamic-config-value", f"{name}={json.dumps(value)}"]
    if database:
        command += ["--db-filename", str(database)]
        command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"]
    return {"server": command}


def _write(file: Path, content: Json) -> Path:
    file.write_text(json.dumps(content, indent=2))
    return file
