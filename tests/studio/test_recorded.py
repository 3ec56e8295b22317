"""A file or folder that holds no history is refused in one sentence that names it and says what to do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from studio.recorded import BadHistory, read_folder, write

RECORDED = Path(__file__).parents[1] / "histories"
FOREIGN = {"events": [{"eventId": "1", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"}]}
BAD = {
    "not JSON": b"{",
    "no text at all": b"\xff\xfe\x00",
    "half a compressed file": gzip.compress(b'{"events": []}')[:12],
    "a list": b"[]",
    "a number": b"7",
    "no events": b'{"history": {}}',
    "events that are none": b'{"events": [{"eventId": "x"}]}',
    "not one event": b'{"events": []}',
    "an event of a kind that is unknown": b'{"events": [{"eventType": "EVENT_TYPE_WISHED_FOR"}]}',
    "somebody else's workflow": json.dumps(FOREIGN).encode(),
    "steps that are no keys": json.dumps({"steps": [1], "history": FOREIGN}).encode(),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_history_is_refused_with_its_name(what: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(BAD[what])
    with pytest.raises(BadHistory, match=r"bad\.json.*record it anew with `sojourn record`") as refused:
        read_folder(tmp_path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_folder_that_is_not_there_or_holds_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadHistory, match=r"there is no .*nowhere; name a folder of histories"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "README.md").write_text("histories")
    with pytest.raises(BadHistory, match=r"holds no history \(\*\.json"):
        read_folder(tmp_path)


def test_a_history_is_the_same_when_it_has_been_written_and_read(tmp_path: Path) -> None:
    one = read_folder(RECORDED)[0]
    file = tmp_path / Path(one.name).name
    write(one, file)
    assert file.read_bytes() == Path(one.name).read_bytes()
    (again,) = read_folder(file)
    assert (again.steps, again.journey, again.version, again.person) == (one.steps, one.journey, one.version, one.person)
    assert again.history.to_json() == one.history.to_json()
