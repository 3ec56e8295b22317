"""The pytest plugin for teams' own journeys, as their tests meet it: small files of tests, run."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import Client

from studio.plugin import LEFT_OUT, WHAT_WAS_SIMULATED
from workflows.definition import EVENTS, JOURNEYS

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
TEAM = '''
"""A team's journey, with its tests."""

from datetime import UTC, datetime, time, timedelta

import pytest

from workflows.definition import Event, journey
from workflows.happenings import Identify, OptOut
from workflows.journey import Journey
from workflows.messages import Email, InApp, Push
from workflows.run import Receipt, User
from workflows.simulate import live, simulate

DAY = timedelta(days=1)
ANA = User("ana", zone="America/Sao_Paulo")


class TrialBegan(Event):
    team: int = 1


class ReportShown(Event):
    report: str = ""


@journey()
async def kits_trial(j: Journey, began: TrialBegan) -> None:
    await j.send(Email("welcome"))
    if shown := await j.wait_for(ReportShown, within=timedelta(days=3)):
        await j.send(InApp("first_report", {"report": shown.report, "team": began.team}))
        return
    await j.until(time(10))
    if (await j.send(Push("hint"))).status != "sent":
        await j.send(Email("hint"))


def shown(**more):
    return simulate(kits_trial, TrialBegan(), then=[(DAY, ReportShown(report="Sales"))], **more)
'''


@pytest.fixture(autouse=True)
def on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the plugin is named here, and may be installed too
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    """Run a team's file with these tests in it. Nobody knows the team afterwards."""
    pytester.makepyfile(test_team=TEAM + tests)
    before = [(registry, dict(registry)) for registry in (JOURNEYS, EVENTS)]
    try:
        return pytester.runpytest_inprocess("-p", "studio.plugin", "-p", "no:cacheprovider", "--color=no", *options)
    finally:
        for registry, known in before:
            registry.clear()
            registry.update(known)  # type: ignore[arg-type]


def shows(result: pytest.RunResult, *lines: str) -> None:
    """These lines come one right after the other; how wide its gaps are is not looked at."""
    said = [" ".join(line.removeprefix("E ").split()) for line in result.outlines]
    places = [at for at in range(len(said)) if said[at : at + len(lines)] == list(lines)]
    assert places, "\n".join(result.outlines)


# Failures


def test_a_comparison_that_fails_shows_what_was_expected_beside_what_was_sent_and_when(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
def test_hint():
    run = shown(user=ANA)
    assert run.messages == [Email("welcome"), Push("hint"), InApp("first_report", {"report": "Sales", "team": 1})]
""",
    )
    result.assert_outcomes(failed=1)
    shows(result, "message 2: expected push/hint, sent -")
    shows(
        result,
        "kits_trial of ana, America/Sao_Paulo",
        "when expected sent",
        "day 0 Mon 06 Jan 09:00 email/welcome email/welcome",
        "> push/hint -",
        "day 1 Tue 07 Jan 09:00 in_app/first_report in_app/first_report",
        "day 1 Tue 07 Jan 09:00 completed, after 1 day",
    )


def test_data_that_differs_is_told_and_only_the_first_difference_is_marked(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_data():
    assert shown().messages == [Email("welcome", topic="news"), InApp("first_report", {"report": "Costs", "page": 2})]
""",
    )
    shows(
        result,
        "> day 0 Mon 06 Jan 12:00 email/welcome email/welcome",
        "topic= expected 'news', sent None",
        "day 1 Tue 07 Jan 12:00 in_app/first_report in_app/first_report",
        "report: expected 'Costs', sent 'Sales'",
        "page: expected 2, sent -",
        "team: expected -, sent 1",
    )


def test_what_was_held_back_and_why_stands_where_it_happened(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_held():
    run = simulate(kits_trial, TrialBegan(), reachable=["email", "in_app"])
    assert [Email("welcome"), Push("hint")] == run.messages
""",
    )
    shows(
        result,
        "day 0 Mon 06 Jan 12:00 email/welcome email/welcome",
        "day 3 Fri 10 Jan 10:00 (push/hint suppressed: no_address)",
        "> day 3 Fri 10 Jan 10:00 push/hint email/hint",
    )


def test_two_runs_are_compared_by_their_messages_times_and_ends(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_runs():
    assert simulate(kits_trial, TrialBegan()) == shown()


def test_sent():
    one, other = simulate(kits_trial, TrialBegan()), simulate(kits_trial, TrialBegan(), at=datetime(2025, 1, 6, 13, tzinfo=UTC))
    assert one.sent == other.sent
""",
    )
    result.assert_outcomes(failed=2)
    shows(result, "> day 3 Fri 10 Jan 10:00 in_app/first_report push/hint")
    shows(result, "ended: 2025-01-10 10:00:00+00:00 where 2025-01-07 12:00:00+00:00 was expected")
    shows(result, "> day 0 Mon 06 Jan 12:00 email/welcome email/welcome", "expected day 0 Mon 06 Jan 13:00")


def test_a_test_that_fails_at_anything_else_shows_what_it_simulated_and_one_that_passes_does_not(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_elapsed():
    run = simulate(kits_trial, TrialBegan(team=4), user=ANA, then=[(DAY, Identify(zone="Asia/Tokyo"))])
    assert run.elapsed == DAY


def test_fine():
    assert shown().elapsed == DAY
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    shows(
        result,
        "kits_trial of ana, America/Sao_Paulo",
        "day 0 Mon 06 Jan 09:00 <- trial_began team=4",
        "day 0 Mon 06 Jan 09:00 -> email/welcome",
        "day 1 Tue 07 Jan 21:00 <- Identify zone='Asia/Tokyo'",
        "day 3 Thu 09 Jan 21:00 wait:report_shown: time was up",
        "day 3 Fri 10 Jan 10:00 until: time was up",
        "day 3 Fri 10 Jan 10:00 -> push/hint",
        "day 3 Fri 10 Jan 10:00 completed, after 3 days 13 hours",
    )
    assert result.stdout.str().count(WHAT_WAS_SIMULATED) == 1


def test_other_comparisons_are_told_as_ever(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_lists():
    assert [1, 2] == [1, 3]


def test_templates():
    assert [each.template for each in shown().messages] == ["welcome"]


def test_messages_of_no_run():
    assert shown().messages == "welcome"
""",
    )
    result.assert_outcomes(failed=3)
    assert "At index 1 diff: 2 != 3" in result.stdout.str()
    assert "did not do" not in result.stdout.str()


# Every run


def test_each_run_that_a_test_simulated_is_printed(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_fine():
    assert shown().elapsed == DAY


def test_a_life():
    began = datetime(2025, 1, 6, 22, tzinfo=UTC)
    runs = live([kits_trial], [(began, OptOut("kits_trial", "email")), (began, TrialBegan())])
    assert len(runs) == 1


def test_nothing():
    assert live([kits_trial], []) == []


def test_without():
    pass
""",
        "--journeys",
    )
    result.assert_outcomes(passed=4)
    shows(
        result,
        "test_team.py::test_fine",
        "kits_trial of user-1, UTC",
        "day 0 Mon 06 Jan 12:00 <- trial_began",
        "day 0 Mon 06 Jan 12:00 -> email/welcome",
        "day 1 Tue 07 Jan 12:00 <- report_shown report='Sales'",
        "day 1 Tue 07 Jan 12:00 wait:report_shown: it came",
        "day 1 Tue 07 Jan 12:00 -> in_app/first_report report='Sales' team=1",
        "day 1 Tue 07 Jan 12:00 completed, after 1 day",
    )
    shows(result, "day 0 Mon 06 Jan 22:00 -x email/welcome suppressed: no_consent")
    shows(result, "test_team.py::test_nothing", "kits_trial: nothing was started")
    assert "test_without" not in result.stdout.str()


def test_a_message_that_waited_for_its_gate_says_how_long(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from workflows.policy import Policy, QuietHours


def test_night():
    simulate(kits_trial, TrialBegan(), policy=Policy(quiet_hours={"email": QuietHours(time(11), time(15))}))
""",
        "--journeys",
    )
    shows(result, "day 0 Mon 06 Jan 15:00 -> email/welcome (waited 3 hours)")


def test_they_are_printed_where_processes_share_the_tests_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_team=TEAM + "\n\ndef test_fine():\n    shown()\n")
    result = pytester.runpytest_subprocess("-p", "studio.plugin", "-p", "xdist.plugin", "-n1", "--journeys")
    result.assert_outcomes(passed=1)
    shows(result, "test_team.py::test_fine", "kits_trial of user-1, UTC")


# Pictures

PICTURE = """

def test_picture(golden):
    golden(kits_trial)
"""


def test_a_picture_is_kept_beside_the_test_and_holds_the_journey(pytester: pytest.Pytester) -> None:
    run(pytester, PICTURE).assert_outcomes(failed=1)
    run(pytester, PICTURE, "--update-pictures").assert_outcomes(passed=1)
    kept = (pytester.path / "pictures" / "kits_trial.mmd").read_text()
    assert kept.startswith('flowchart TD\n  n0(["trial_began"])\n')
    run(pytester, PICTURE).assert_outcomes(passed=1)


def test_an_older_version_has_a_picture_of_its_own(pytester: pytest.Pytester) -> None:
    older = """
@journey(version=1)
async def kits_other_v1(j: Journey, began: TrialBegan) -> None:
    await j.send(Email("old"))


@journey(version=2)
async def kits_other(j: Journey, began: TrialBegan) -> None:
    await j.send(Email("new"))


def test_pictures(golden):
    golden(kits_other)
    golden(kits_other_v1)
"""
    run(pytester, older, "--update-pictures").assert_outcomes(passed=1)
    kept = {file.stem: "email old" in file.read_text() for file in (pytester.path / "pictures").iterdir()}
    assert kept == {"kits_other": False, "kits_other_v1": True}


def test_a_picture_that_is_not_kept_yet_says_how_to_keep_it(pytester: pytest.Pytester) -> None:
    result = run(pytester, PICTURE)
    result.stdout.fnmatch_lines(
        ["no picture of kits_trial is kept at */pictures/kits_trial.mmd; `pytest --update-pictures` writes it"]
    )


def test_a_journey_that_changed_is_shown_as_a_difference_to_its_picture(pytester: pytest.Pytester) -> None:
    run(pytester, PICTURE, "--update-pictures")
    file = pytester.path / "pictures" / "kits_trial.mmd"
    file.write_text(file.read_text().replace("3 days", "2 days"))
    result = run(pytester, PICTURE)
    result.assert_outcomes(failed=1)
    shows(result, '- n2{{"wait for report_shown, 2 days"}}', '+ n2{{"wait for report_shown, 3 days"}}')
    assert "2 days" in file.read_text()


# The real server

REAL = """

def test_agrees():
    assert shown().elapsed == DAY


async def test_agrees_with_a_person_of_some_zone():
    run = simulate(kits_trial, TrialBegan(), user=ANA, reachable=["email", "in_app"])
    assert run.messages == [Email("welcome"), Email("hint")]


def test_has_no_template_for_a_hint():
    assert len(simulate(kits_trial, TrialBegan()).messages) == 2


def test_fails_in_virtual_time():
    assert shown().messages == []


def test_says_what_a_provider_answers():
    run = shown(receipts={"welcome": Receipt("failed", "bounced")})
    assert len(run.messages) == 1


@pytest.mark.virtual("thousands of lives")
def test_is_left_to_virtual_time():
    assert len(simulate(kits_trial, TrialBegan()).messages) == 2
"""
TEMPLATES = {
    "email/welcome.mjml": "subject: Hello\n---\n<mjml><mj-body></mj-body></mjml>\n",
    "email/hint.mjml": "subject: A hint\n---\n<mjml><mj-body></mj-body></mjml>\n",
    "in_app/first_report.txt": "title: {{ report }}\n---\nIt is there.\n",
}


def test_what_is_simulated_is_played_on_the_real_server_too_and_both_must_agree(
    pytester: pytest.Pytester, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in TEMPLATES.items():
        file = pytester.path / "team" / "templates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setenv("SOJOURN_JOURNEYS", str(pytester.path / "team"))
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", temporal.namespace)
    pytester.makepyfile(test_team=TEAM + REAL)
    asyncio = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    result = pytester.runpytest_subprocess("-p", "studio.plugin", *asyncio, "--color=no", "--real")

    result.assert_outcomes(passed=4, failed=2)
    difference = "kits_trial, run 1, message 2, push/hint, is failed (template: push/hint: there is no template push/hint.txt in *"
    result.stdout.fnmatch_lines(["virtual time and the real server differ on life 1 of 1:", difference])
    result.stdout.fnmatch_lines([f"* {LEFT_OUT} *"])
    shows(
        result,
        "test_team.py::test_says_what_a_provider_answers",
        "life 1 of 1: receipts= says what a provider answers, and there it answers as it does",
    )
    assert [line.split("::")[1].split()[0] for line in result.outlines if line.startswith("FAILED")] == [
        "test_has_no_template_for_a_hint",
        "test_fails_in_virtual_time",
    ]
