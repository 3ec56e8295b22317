"""The containers' configuration says what it should, as far as that can be seen without running them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from cli import app
from engine.build import SERVER, UI
from settings import DEVELOPMENT_ADMIN_KEY, Settings
from tests.production.compose import CHECKOUT, FILE, Missing, Service, environment, services, variables_of
from tests.production.image import admitted, copied, instructions, unpack

SECRETS = {
    "POSTGRES_PASSWORD": "postgres0password",
    "SOJOURN_WRITE_KEY": "a-write-key-of-production",
    "SOJOURN_ADMIN_KEY": "an-admin-key-of-production",
    "SOJOURN_ERASURE_KEY": "an-erasure-key-of-production",
    "SOJOURN_LINK_KEY": "a-link-key-of-production",
    "SOJOURN_EMAIL_FROM": "Sojourn <hello@example.org>",
}
OURS = ["migrate", "ready-temporal", "api", "worker"]
ONE_SHOT = {"temporal-schema", "migrate", "ready-temporal"}

# What the official images read: postgres (hub.docker.com/_/postgres), temporalio/server (its config_template_embedded.yaml
# and entrypoint.sh), temporal-sql-tool (tools/sql/main.go) and temporalio/ui (config/docker.yaml).
READ_BY = {
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"},
    "temporal-schema": {"SQL_HOST", "SQL_PORT", "SQL_USER", "SQL_PASSWORD"},
    "temporal": {
        *("DB", "DB_PORT", "POSTGRES_SEEDS", "POSTGRES_USER", "POSTGRES_PWD", "NUM_HISTORY_SHARDS", "BIND_ON_IP"),
        *("TEMPORAL_ALLOW_NO_AUTH", "DYNAMIC_CONFIG_FILE_PATH", "LOG_LEVEL"),
    },
    "temporal-ui": {"TEMPORAL_ADDRESS", "TEMPORAL_DEFAULT_NAMESPACE", "TEMPORAL_CORS_ORIGINS"},
    "mailpit": set(),
}


def gates(service: Service) -> dict[str, str]:
    return {name: gate["condition"] for name, gate in service.get("depends_on", {}).items()}


def waits_for(name: str) -> set[str]:
    """Return every service that must be well, or done, before that one starts."""
    direct = set(gates(services()[name]))
    return direct.union(*(waits_for(each) for each in direct))


def setting_names() -> set[str]:
    prefix = Settings.model_config["env_prefix"]
    return {str(field.validation_alias or f"{prefix}{name}".upper()) for name, field in Settings.model_fields.items()}


def settings_of(service: str, monkeypatch: pytest.MonkeyPatch, **changed: str) -> Settings:
    variables = {**SECRETS, **changed}
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(services(variables)[service], variables).items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def test_every_service_of_the_topology_is_there() -> None:
    assert set(services()) == {*READ_BY, *OURS}


@pytest.mark.parametrize("name", sorted(READ_BY))
def test_an_image_that_is_not_built_here_is_pinned_to_a_release(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", services()[name]["image"])


def test_our_image_is_built_from_one_pinned_release_of_python() -> None:
    bases = {line.split()[0] for line in instructions("FROM")}

    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", bases.pop())
    assert {services()[name]["image"] for name in OURS} == {"sojourn:${IMAGE_TAG:-local}"}
    assert {services()[name]["build"] for name in OURS} == {"."}


def test_temporal_has_the_versions_that_the_tests_run_on() -> None:
    assert services()["temporal"]["image"] == f"temporalio/server:{SERVER.version}"
    assert services()["temporal-schema"]["image"] == f"temporalio/admin-tools:{SERVER.version}"
    assert services()["temporal-ui"]["image"] == f"temporalio/ui:{UI.version}"
    assert tuple(map(int, SERVER.version.split("."))) >= (1, 32)


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_given_settings_that_exist(name: str) -> None:
    assert set(services()[name]["environment"]) <= setting_names()


@pytest.mark.parametrize("name", sorted(READ_BY))
def test_official_images_are_given_what_they_read(name: str) -> None:
    assert set(services()[name].get("environment", {})) <= READ_BY[name]


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_in_production_and_send(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(name, monkeypatch)

    assert settings.environment == "production"
    assert settings.live
    assert settings.database_url == "postgresql+asyncpg://sojourn:postgres0password@postgres:5432/sojourn"
    assert settings.temporal_address == "temporal:7233"
    assert settings.smtp_url
    assert settings.smtp_url.get_secret_value() == "smtp://mailpit:1025"
    assert (settings.twilio_account_sid, settings.fcm_credentials, settings.temporal_api_key) == (None, None, None)


def test_what_is_optional_in_the_env_file_reaches_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("worker", monkeypatch, SOJOURN_ON_AMBIGUOUS='{"email": "resend"}', TEMPORAL_NAMESPACE="lifecycles")

    assert settings.on_ambiguous == {"email": "resend"}
    assert settings.temporal_namespace == "lifecycles"


def test_development_keys_do_not_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="SOJOURN_ADMIN_KEY") as raised:
        settings_of("api", monkeypatch, SOJOURN_ADMIN_KEY=DEVELOPMENT_ADMIN_KEY)
    assert "input_value" not in str(raised.value), "it may be a key, and this goes into the log"


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_must_be_given(name: str) -> None:
    with pytest.raises(Missing, match=name):
        services({**SECRETS, name: ""})


def test_no_secret_is_in_the_file() -> None:
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|PWD|_KEY$|TOKEN|CREDENTIALS", variable):
                assert value is None or re.fullmatch(r"\$\{[^}]+\}", value), f"{name}: {variable}"
    for password in re.findall(r"://[^\s:/@]+:([^\s@]+)@", FILE.read_text()):
        assert re.fullmatch(r"\$\{[^}]+\}", password)


def test_the_example_names_every_variable_and_holds_no_secret() -> None:
    example = (CHECKOUT / ".env.example").read_text()
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE)

    assert {name for name, _ in lines} >= variables_of(FILE.read_text()) - {"SOJOURN_TEMPORAL_TLS_CERT", "SOJOURN_TEMPORAL_TLS_KEY"}
    assert re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE) == [(name, "") for name in SECRETS]


@pytest.mark.parametrize("name", sorted([*READ_BY, *OURS]))
def test_a_service_starts_when_what_it_needs_is_well_or_done(name: str) -> None:
    for needed, condition in gates(services()[name]).items():
        target = services()[needed]
        if condition == "service_completed_successfully":
            assert needed in ONE_SHOT
            assert target["restart"] == "on-failure"
        else:
            assert condition == "service_healthy"
            assert target["healthcheck"]["test"][0] == "CMD"


def test_nothing_serves_or_works_before_its_tables_and_temporal_are_ready() -> None:
    assert {"postgres", "migrate"} <= waits_for("api")
    assert waits_for("worker") >= {"postgres", "migrate", "temporal-schema", "temporal", "ready-temporal", "mailpit"}


def test_events_are_accepted_without_temporal() -> None:
    assert not {"temporal", "temporal-schema", "ready-temporal"} & waits_for("api")


def test_whatever_goes_on_running_is_watched_and_restarted() -> None:
    for name in {*services()} - ONE_SHOT:
        assert services()[name]["healthcheck"]["test"]
        assert services()[name]["restart"] == "unless-stopped"


def test_two_workers_work_and_are_let_finish_what_they_send() -> None:
    worker = services()["worker"]

    assert worker["deploy"]["replicas"] == 2
    assert int(worker["stop_grace_period"].removesuffix("s")) > Settings.model_fields["graceful_shutdown_seconds"].default


def test_nothing_but_the_api_and_two_pages_is_published_and_only_to_this_host() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}

    assert set(published) == {"api", "temporal-ui", "mailpit"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_what_a_service_mounts_is_in_the_checkout_and_cannot_be_changed() -> None:
    mounts = [mount for service in services().values() for mount in service.get("volumes", []) if mount.startswith(".")]

    assert mounts
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert (CHECKOUT / source).is_dir()
        assert mode == "ro"


def test_commands_and_modules_that_are_started_exist() -> None:
    commands = {info.callback.__name__ for info in app.registered_commands if info.callback}
    started = [part for service in services().values() for part in _modules(service)]

    assert {services()[name]["command"][0] for name in ("api", "worker", "migrate")} <= commands
    assert sorted(set(started)) == ["deploy.answering", "deploy.polling", "deploy.ready_temporal"]
    for module in started:
        assert (CHECKOUT / f"{module.replace('.', '/')}.py").is_file()


def _modules(service: Service) -> list[str]:
    words = [*service.get("entrypoint", []), *service.get("healthcheck", {}).get("test", [])]
    return [words[place + 1] for place, word in enumerate(words) if word == "-m"]


def test_the_image_does_not_run_as_root_and_reads_one_set_of_time_zones() -> None:
    assert instructions("USER")[-1] == "sojourn"
    assert "PYTHONTZPATH= " in instructions("ENV")[-1]


def test_the_image_has_every_dependency_in_the_version_that_was_tested() -> None:
    wanted = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (CHECKOUT / "constraints.txt").read_text().splitlines()}

    assert "tzdata" in pinned
    assert {re.split(r"[\[;]", name)[0].lower().replace("_", "-") for name in wanted} <= pinned
    assert "--constraint constraints.txt" in " ".join(instructions("RUN"))


def test_what_the_image_copies_is_there_and_reaches_the_build() -> None:
    assert copied()
    for source in ["pyproject.toml", "constraints.txt", *copied()]:
        assert (CHECKOUT / source).exists(), source
        assert admitted(source), source


@pytest.mark.parametrize("name", [".env", ".git", ".venv", "tests", "demo", "journeys/__pycache__", ".sojourn"])
def test_what_the_image_does_not_need_stays_out_of_the_build(name: str) -> None:
    assert not admitted(name)


def test_what_the_image_copies_is_enough_to_run_every_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from settings import Settings; from loading import load;"
        "load(Settings().journeys);"
        "import cli, worker, api.app, store.migrate, deploy.answering, deploy.polling, deploy.ready_temporal;"
        "import commands.operating, commands.addressing, commands.seeing, commands.checking, commands.backtesting, studio.gate;"
        f"outside = [name for name, module in sys.modules.items() if (file := getattr(module, '__file__', None))"
        f" and Path(file).is_relative_to({str(CHECKOUT)!r}) and not Path(file).is_relative_to(sys.prefix)];"
        "sys.exit(' '.join(outside) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=unpack(tmp_path), capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_docker_compose_accepts_the_file() -> None:
    compose = ["docker", "compose", "--file", str(FILE)]
    if shutil.which("docker") is None or subprocess.run([*compose[:2], "version"], capture_output=True).returncode:
        pytest.skip("there is no `docker compose` here to ask")

    done = subprocess.run(
        [*compose, "config", "--quiet"], env={"PATH": "/usr/local/bin:/usr/bin:/bin", **SECRETS}, capture_output=True
    )

    assert done.returncode == 0, done.stderr.decode()
