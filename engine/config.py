"""The configuration of an official Temporal server for one machine, as plain data (JSON is YAML to it)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from engine.process import LOOPBACK

Json = dict[str, Any]

PORTS_NEEDED = 9  # the front door apart: 3 services with a gRPC port, 4 with a membership port, HTTP, diagnostics

_FEATURES: dict[str, object] = {
    "frontend.WorkflowTimeSkippingEnabled": True,
    "frontend.WorkflowTimeSkippingMaxSkipPerSession": 100_000,
    "frontend.WorkflowPauseEnabled": True,
    "system.forceSearchAttributesCacheRefreshOnRead": True,  # else a new attribute is unknown for a minute
    "system.namespaceCacheRefreshInterval": "200ms",
    "history.timerProcessorMaxTimeShift": "10ms",  # else a timer reached by skipping fires up to a second later
    # Server 1.32.1 shifts the start of a continued run twice by the time skipped, takes it for a run of a few
    # milliseconds, holds its successor back and skips by that much again; without a minimum nothing is held back.
    "history.workflowIdReuseMinimalInterval": "0s",
}

_LIMITS = [
    "frontend.rps",
    "frontend.namespaceRPS",
    "frontend.namespaceCount",
    "frontend.namespaceRPS.visibility",
    "frontend.namespaceRPS.namespaceReplicationInducingAPIs",
    "frontend.rps.namespaceReplicationInducingAPIs",
    "frontend.persistenceMaxQPS",
    "matching.rps",
    "matching.persistenceMaxQPS",
    "history.rps",
    "history.persistenceMaxQPS",
    "history.timerProcessorMaxPollRPS",
    "history.transferProcessorMaxPollRPS",
    "worker.persistenceMaxQPS",
]

DYNAMIC: dict[str, object] = {
    **_FEATURES,
    **dict.fromkeys(_LIMITS, 1_000_000),
    "frontend.shutdownDrainDuration": "0s",
    "frontend.shutdownFailHealthCheckDuration": "0s",
    "history.shutdownDrainDuration": "0s",
    "matching.shutdownDrainDuration": "0s",
}
"""What development and tests run with: features, limits out of a load's way on one machine, no draining at the end."""


def dynamic_config() -> Json:
    """The dynamic configuration file's content."""
    return {name: [{"value": value}] for name, value in DYNAMIC.items()}


def sqlite_stores(file: Path | None) -> Json:
    """The `datastores` for a SQLite file, or for memory when there is no `file`."""
    return {"main": _sqlite(file), "visibility": _sqlite(file)}


def _sqlite(file: Path | None) -> Json:
    attributes = {"mode": "memory", "cache": "shared"} if file is None else _DURABLE
    return {
        "sql": {
            "pluginName": "sqlite",
            "databaseName": "sojourn" if file is None else quote(str(file)),  # it becomes part of a URI
            "connectAddr": "localhost",
            "connectProtocol": "tcp",
            "connectAttributes": attributes,
            "maxConns": 1,
            "maxIdleConns": 1,
        }
    }


_DURABLE = {
    "mode": "rwc",
    "cache": "private",
    "setup": "true",
    "journal_mode": "wal",
    "synchronous": "1",  # NORMAL: outlives the process's death; only a power cut may take the last moments
    "busy_timeout": "10000",
}


def postgres_stores(url: str, databases: tuple[str, str]) -> Json:
    """The `datastores` for two databases, history and visibility, on the PostgreSQL server of `url`."""
    return {"main": _postgres(url, databases[0]), "visibility": _postgres(url, databases[1])}


def _postgres(url: str, database: str) -> Json:
    parts = urlsplit(url)
    return {
        "sql": {
            "pluginName": "postgres12",
            "databaseName": database,
            "connectAddr": f"{parts.hostname}:{parts.port or 5432}",
            "connectProtocol": "tcp",
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "maxConns": 20,
            "maxIdleConns": 20,
        }
    }


def server_config(stores: Json, *, shards: int, port: int, ports: Sequence[int], dynamic: Path) -> Json:
    """A whole single-process server on loopback: `port` is its front door, `ports` its PORTS_NEEDED inner ones."""
    *inner, http, diagnostics = ports
    return {
        "log": {"stdout": True, "level": "warn"},
        "persistence": {
            "defaultStore": "main",
            "visibilityStore": "visibility",
            "numHistoryShards": shards,
            "datastores": stores,
        },
        "global": {
            "membership": {"maxJoinDuration": "30s", "broadcastAddress": LOOPBACK},
            "pprof": {"port": diagnostics, "host": LOOPBACK},
        },
        "services": _services([port, *inner], http),
        "clusterMetadata": _cluster(port, http),
        "publicClient": {"hostPort": f"{LOOPBACK}:{port}"},
        "dcRedirectionPolicy": {"policy": "noop"},
        "archival": {area: {"state": "disabled", "enableRead": False} for area in ("history", "visibility")},
        "namespaceDefaults": {"archival": {area: {"state": "disabled"} for area in ("history", "visibility")}},
        "dynamicConfigClient": {"filepath": str(dynamic), "pollInterval": "60s"},
    }


def _services(ports: Sequence[int], http: int) -> Json:
    names = ["frontend", "history", "matching", "worker"]
    rpc: dict[str, Json] = {
        name: {"grpcPort": grpc, "membershipPort": membership, "bindOnIP": LOOPBACK}
        for name, grpc, membership in zip(names, ports[:4], ports[4:], strict=True)
    }
    rpc["frontend"]["httpPort"] = http
    return {name: {"rpc": settings} for name, settings in rpc.items()}


def _cluster(port: int, http: int) -> Json:
    return {
        "enableGlobalNamespace": False,
        "failoverVersionIncrement": 10,
        "masterClusterName": "active",
        "currentClusterName": "active",
        "clusterInformation": {
            "active": {
                "enabled": True,
                "initialFailoverVersion": 1,
                "rpcName": "frontend",
                "rpcAddress": f"{LOOPBACK}:{port}",
                "httpAddress": f"{LOOPBACK}:{http}",
            }
        },
    }


def ui_config(server: str, namespace: str, port: int) -> Json:
    """The Temporal UI's configuration: `server` is the address it shows, `port` its own."""
    return {
        "temporalGrpcAddress": server,
        "host": LOOPBACK,
        "port": port,
        "enableUi": True,
        "defaultNamespace": namespace,
        "cors": {"allowOrigins": [f"http://{LOOPBACK}:{port}", f"http://localhost:{port}"]},
    }
