"""Pytest, for journeys: failures on a line of time, `--journeys`, pictures in files, and the same scenarios on the real server."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from studio.comparison import Expected, ends, first_difference, side_by_side
from studio.pictures import FOLDER, changes, keep, place
from studio.scenario import Scenario
from studio.timeline import lines_of_lives
from studio.witness import Lived, watching
from workflows.definition import Definition
from workflows.messages import Message
from workflows.simulated import Decided, Simulation, Told

if TYPE_CHECKING:
    from studio.server import Server

EXPECTED_AND_SENT, WHAT_WAS_SIMULATED, LEFT_OUT = "expected, and sent", "what was simulated", "not played on the real server"
LAST_LIVES = 5  # of a test that failed: it may have lived thousands

Golden = Callable[[Definition[Any]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sojourn", "Sojourn's journeys")
    group.addoption("--journeys", action="store_true", help="print each run that a test has simulated")
    group.addoption("--real", action="store_true", help="play it on the real development server too: both must agree")
    group.addoption("--update-pictures", action="store_true", help=f"write journeys' pictures to {FOLDER}/ beside their tests")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual(why): what this simulates is not played on the real server by --real")
    config.pluginmanager.register(Kit(config), "sojourn-kit")


class Kit:
    """What one session of tests has simulated, and where it is played for real."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tells_all, self.real = bool(config.option.journeys), bool(config.option.real)
        self.lives = deque[Lived]()
        self.compared: list[str] = []  # beside pytest's own explanation, of which it shows eight lines
        self.left_out: list[str] = []
        self.server: Server | None = None
        self.open = ExitStack()
        self.open.enter_context(watching(self.take))

    def take(self, lived: Lived) -> None:
        self.lives.append(lived)
        if len(self.lives) > LAST_LIVES and not (self.tells_all or self.real):
            self.lives.popleft()

    def pytest_unconfigure(self) -> None:
        if self.server is not None:
            self.server.stop()
        self.open.close()

    # What a test simulates

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        self.lives.clear()
        self.left_out, self.compared = [], []
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object | None, object | None]:
        result = yield
        if self.real and pyfuncitem.get_closest_marker("virtual") is None:
            self._play(list(self.lives))
        return result

    def _play(self, lives: Sequence[Lived]) -> None:
        """Play what a test has simulated, once each. Fails the test at the first life of which two stories are told."""
        from studio.agreement import disagreements, unfit

        for number, lived in enumerate(lives, 1):
            if why := unfit(lived):
                self.left_out.append(f"life {number} of {len(lives)}: {why}")
            elif found := disagreements(self._server(), lived):
                told = "\n".join(found)
                pytest.fail(f"virtual time and the real server differ on life {number} of {len(lives)}:\n{told}", pytrace=False)

    def _server(self) -> Server:
        if self.server is None:
            from studio.server import Server

            self.server = Server(_journeys(), self._report)
        return self.server

    def _report(self, said: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self.config.getoption("verbose") >= 0:
            reporter.write_line(said)

    # What is told of it

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        run, other = _run_of(left), _run_of(right)
        if op != "==" or (run is None and other is None):
            return None
        actual, expected = (run, right) if run is not None else (other, left)
        assert actual is not None
        wanted = _messages(expected)
        if wanted is None:
            return None
        scenario = self._scenario_of(actual)
        whole = ends(actual, expected) if isinstance(expected, Simulation) and isinstance(left, Simulation) else []
        self.compared += [*side_by_side(actual, wanted, scenario), *whole]
        told = filter(None, [first_difference(actual, wanted, scenario), *whole])
        return [f"{actual.definition.name} did not do what was expected", "", *told]

    def _scenario_of(self, run: Simulation) -> Scenario | None:
        return next((lived.scenario for lived in self.lives for each in lived.runs if each is run), None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call":
            report.sections += [(heading, "\n".join(lines)) for heading, lines in self._told(report.failed) if lines]
        return report

    def _told(self, failed: bool) -> Iterator[tuple[str, list[str]]]:
        """Yield what there is to say of a test, each under its heading."""
        compared = self.compared if failed else []
        yield EXPECTED_AND_SENT, compared
        lives = list(self.lives) if self.tells_all else list(self.lives)[-LAST_LIVES:]
        yield WHAT_WAS_SIMULATED, lines_of_lives(lives) if self.tells_all or (failed and not compared) else []
        yield LEFT_OUT, self.left_out

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
        for heading in (WHAT_WAS_SIMULATED,) * self.tells_all + (LEFT_OUT,) * self.real:
            told = [(each.nodeid, text) for each in reports for name, text in each.sections if name == heading]
            if told:
                terminalreporter.section(heading)
            for nodeid, text in told:
                terminalreporter.write_line(nodeid, bold=True)
                for line in (*text.splitlines(), ""):
                    terminalreporter.write_line(f"  {line}".rstrip())


def _run_of(value: object) -> Simulation | None:
    return value if isinstance(value, Simulation) else value.run if isinstance(value, Told) else None


def _messages(value: object) -> list[Expected] | None:
    """Return what is expected, if that is messages, or what another run sent."""
    said = value.sent if isinstance(value, Simulation) else value
    if not isinstance(said, Sequence) or not all(isinstance(each, Message | Decided) for each in said):
        return None
    return list(said)


def _journeys() -> Path:
    """Return the folder that is the package `journeys`; the one of the settings if none has been loaded."""
    from settings import Settings

    loaded = sys.modules.get("journeys")
    return Path(next(iter(loaded.__path__))) if loaded is not None else Settings().journeys


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Hold a journey to the picture that is kept of it, in pictures/ beside the test. `--update-pictures` keeps it as it is."""

    def compare(definition: Definition[Any]) -> None:
        __tracebackhide__ = True
        file = place(definition, request.path)
        if request.config.option.update_pictures:
            keep(definition, file)
        elif not file.exists():
            pytest.fail(f"no picture of {definition.name} is kept at {file}; `pytest --update-pictures` writes it", pytrace=False)
        elif diff := changes(definition, file):
            said = f"{definition.name} is not as its picture; if that is meant, `pytest --update-pictures` keeps the new one"
            pytest.fail("\n".join([said, "", *diff]), pytrace=False)

    return compare
