"""`rung audit` on a real log: written by the services' own keys, then cut, forged and damaged as somebody might."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from libs.cli.main import main
from libs.contracts.history import Fence
from libs.contracts.words import Service
from libs.contracts.workflow import OnTimeout
from libs.runtime.artifacts import BUCKET
from libs.runtime.provision import wait_and_provision
from libs.runtime.rights import OPERATOR
from libs.runtime.server import start
from tests.cli.cdevents_shapes import valid
from tests.spec import story
from tests.support.bus import Bus, running_bus
from tests.support.seeding import Waiting, seed

Told = tuple[int, str, str]
Tell = Callable[..., Awaitable[Told]]

BODY = b"The total is wrong, as anybody can see."
GROUP = Waiting("shop", 3600, OnTimeout.ABORT, 3)
FACTS_PER_RUN = 6
"""Facts about an issue, its run and its policy, up to the checkpoint after plan."""


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "data") as bus:
        yield bus


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Exit code, standard output and standard error of a command."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    async def told(*words: str | Path) -> Told:
        code = await asyncio.to_thread(main, [str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return told


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a running bus whose log holds three runs that wait; nobody adds to it."""
    data = tmp_path_factory.mktemp("seeded") / "data"
    server = asyncio.run(start(data))
    try:
        asyncio.run(wait_and_provision(server.endpoint.url, server.endpoint.keys))
        asyncio.run(seed(server.endpoint, [GROUP]))
        yield data
    finally:
        asyncio.run(server.stop())


@pytest.fixture(scope="module")
def log(seeded: Path) -> Path:
    """The export of that log, with its checkpoint beside it."""
    for command in ("export", "checkpoint"):
        assert main(["audit", command, "--output", str(seeded.parent / command), "--data", str(seeded)]) == 0
    return seeded.parent / "export"


def lines_of(export: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in export.read_text().splitlines()]


def rewritten(place: Path, lines: list[dict[str, Any]]) -> Path:
    forged = place / "forged.jsonl"
    forged.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return forged


# -- export and verify --------------------------------------------------------


async def test_a_sound_log_is_verified_with_its_artifacts_and_told_as_json(seeded: Path, tell: Tell) -> None:
    code, out, _ = await tell("audit", "verify", "--json", "--data", seeded)
    report = json.loads(out)
    assert code == 0
    assert (report["messages"], report["findings"]) == (GROUP.count * FACTS_PER_RUN + 1, [])
    assert [note["code"] for note in report["notes"]] == ["artifact.missing"]
    assert report["artifacts"] == 1


def test_every_message_of_the_log_stands_in_the_export_once_and_in_order(log: Path) -> None:
    lines = lines_of(log)
    assert [line["sequence"] for line in lines] == list(range(1, GROUP.count * FACTS_PER_RUN + 2))
    assert {line["specversion"] for line in lines} == {"1.0"}
    assert all(line["traceparent"] and line["cause"] and line["data"] for line in lines)


async def test_an_export_alone_is_enough_to_verify_it(log: Path, tell: Tell) -> None:
    code, out, _ = await tell("audit", "verify", "--from", log, "--checkpoint", log.parent / "checkpoint")
    assert code == 0
    assert "stand unchanged, and none has come since" in out
    assert "nothing is wrong" in out


async def test_an_export_to_standard_output_is_the_same(seeded: Path, log: Path, tell: Tell) -> None:
    code, out, said = await tell("audit", "export", "--format", "jsonl", "--data", seeded)
    assert code == 0
    assert log.read_text() == out
    assert f"{GROUP.count * FACTS_PER_RUN + 1} messages written." in said


async def test_other_tools_are_told_in_their_own_words_and_what_has_none_is_counted(seeded: Path, tell: Tell) -> None:
    code, out, said = await tell("audit", "export", "--format", "cdevents", "--data", seeded)
    events = [valid(json.loads(line)) for line in out.splitlines()]
    assert code == 0
    assert len(events) == 3 * GROUP.count
    assert f"{GROUP.count * FACTS_PER_RUN + 1 - len(events)} facts have no counterpart" in said


async def test_a_forged_line_is_found_with_its_code_sequence_and_sentence(
    log: Path, tell: Tell, tmp_path: Path
) -> None:
    lines = lines_of(log)
    line = next(line for line in lines if line["type"] == "rung.run.gate.judged")
    line["source"] = "/rung/builder"
    forged = rewritten(tmp_path, lines)
    code, out, _ = await tell("audit", "verify", "--json", "--from", forged)
    (finding,) = json.loads(out)["findings"]
    assert code == 1
    assert (finding["code"], finding["sequence"], finding["subject"]) == (
        "message.speaker",
        line["sequence"],
        line["subject"],
    )


async def test_a_log_that_was_cut_is_found_by_its_checkpoint(log: Path, tell: Tell, tmp_path: Path) -> None:
    forged = rewritten(tmp_path, lines_of(log)[:-2])
    code, out, _ = await tell("audit", "verify", "--from", forged, "--checkpoint", log.parent / "checkpoint")
    assert code == 1
    assert "log.cut" in out


async def test_the_checkpoint_of_an_export_is_that_of_its_log(log: Path, tell: Tell, tmp_path: Path) -> None:
    code, _, _ = await tell("audit", "checkpoint", "--from", log, "--output", tmp_path / "own")
    assert code == 0
    assert (tmp_path / "own").read_text() == (log.parent / "checkpoint").read_text()
    told = json.loads((tmp_path / "own").read_text())
    assert told["size"] == GROUP.count * FACTS_PER_RUN + 1
    assert set(told["heads"]) >= {f"run.{run}" for run in GROUP.runs}


# -- artifacts and blocks that were changed on disk ---------------------------


async def test_an_artifact_that_was_changed_is_found(bus: Bus, tell: Tell) -> None:
    async with bus.artifacts(Service.PLANNER) as artifacts:
        digest = await artifacts.put(BODY)
    opened = story.opened().model_copy(update={"body": digest})
    async with bus.log(Service.PLANNER) as log:
        await log.append(opened, cause=opened.request, fence=Fence(opened.subject, 0))
    await replace_artifact(bus, digest, BODY + b"!")
    code, out, _ = await tell("audit", "verify", "--json", "--data", bus.data)
    (finding,) = json.loads(out)["findings"]
    assert code == 1
    assert (finding["code"], finding["sequence"], finding["subject"]) == ("artifact.damaged", 1, opened.subject)


async def test_an_export_is_held_against_the_artifacts_of_a_system_where_asked(bus: Bus, tell: Tell, log: Path) -> None:
    code, out, _ = await tell("audit", "verify", "--json", "--from", log, "--artifacts", "--data", bus.data)
    assert code == 0
    assert json.loads(out)["artifacts"] == 1


async def replace_artifact(bus: Bus, digest: str, data: bytes) -> None:
    """Other bytes under the same name, as a role that may put artifacts could write them."""
    entry = {"name": digest, "bucket": BUCKET, "nuid": "forged", "size": len(data), "chunks": 1}
    name = base64.urlsafe_b64encode(digest.encode()).decode()
    async with bus.client(OPERATOR) as client:
        await client.request(f"$O.{BUCKET}.C.forged", data)
        await client.request(f"$O.{BUCKET}.M.{name}", json.dumps(entry).encode())
    assert hashlib.sha256(data).hexdigest() != digest


async def damaged_block(tmp_path: Path, text: bytes) -> Bus:
    """A store on whose disk the last place where this text stands is another one."""
    async with running_bus(tmp_path / "damaged") as bus:
        await seed(bus.endpoint, [GROUP])
    (block,) = bus.data.glob("nats/**/FACTS/msgs/*.blk")
    stored = block.read_bytes()
    at = stored.rindex(text)
    block.write_bytes(stored[:at] + bytes(byte ^ 0xFF for byte in text) + stored[at + len(text) :])
    return bus


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (b"rung.run.phase.requested", {"sequence.missing"}),
        (b"rung.run.checkpoint.opened", {"log.short"}),
    ],
    ids=["in the middle", "at the end"],
)
async def test_a_block_that_was_damaged_on_disk_is_found_by_the_full_read(
    tmp_path: Path, tell: Tell, text: bytes, codes: set[str]
) -> None:
    data = (await damaged_block(tmp_path, text)).data
    async with running_bus(data):
        code, out, _ = await tell("audit", "verify", "--json", "--data", data)
    assert code == 1
    assert codes <= {finding["code"] for finding in json.loads(out)["findings"]}


# -- a run, told --------------------------------------------------------------


async def test_a_run_is_told_from_its_issue_on(log: Path, tell: Tell) -> None:
    run = GROUP.runs[0]
    code, out, _ = await tell("audit", "show", "--run", run[:12], "--from", log, "--json")
    facts = json.loads(out)
    assert code == 0
    assert [fact["type"] for fact in facts] == [
        "issue.opened",
        *(["policy.adopted"] if facts[1]["type"] == "policy.adopted" else []),
        "run.started",
        "phase.requested",
        "phase.completed",
        "gate.judged",
        "checkpoint.opened",
    ]
    by_sequence = {fact["sequence"]: fact for fact in facts}
    assert all(fact["because_of"] in by_sequence for fact in facts[1:])
    assert facts[0]["says"].startswith("An issue came in: “The total is wrong”")
    code, out, _ = await tell("audit", "show", "--run", run, "--from", log)
    assert [line.split()[0] for line in out.splitlines()] == [str(fact["sequence"]) for fact in facts]


# -- replay elsewhere ---------------------------------------------------------


async def test_an_export_is_replayed_without_any_system_and_another_has_another_digest(
    log: Path, tell: Tell, tmp_path: Path
) -> None:
    code, out, _ = await tell("replay", "--from", log, "--json")
    done = json.loads(out)
    assert code == 0
    assert (done["facts"], done["runs"], done["unread"]) == (GROUP.count * FACTS_PER_RUN + 1, GROUP.count, 0)
    other = rewritten(tmp_path, lines_of(log)[:-1])
    assert not (await tell("replay", "--from", other))[1].splitlines()[-1].endswith(done["digest"])


# -- bad input ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "text", "sentence"),
    [
        (["audit", "verify", "--from"], None, "cannot be read: No such file"),
        (["audit", "checkpoint", "--from"], None, "cannot be read: No such file"),
        (["audit", "show", "--run", "x", "--from"], None, "cannot be read: No such file"),
        (["audit", "verify", "--from"], "nonsense\n", "line 1 of the export is not JSON"),
        (["replay", "--from"], "{}\n", "line 1 is none of an exported log"),
        (["audit", "checkpoint", "--from"], '\n{"sequence', "line 2 of the export is cut short"),
        (["audit", "show", "--run", "x", "--from"], "[]\n", "line 1 is none of an exported log"),
        (["audit", "show", "--run", "x", "--from"], "", "There is no run x in"),
        (["audit", "show", "--run", "", "--from"], "", "Name a run by its id or its beginning"),
    ],
)
async def test_an_export_that_is_none_is_one_sentence(
    tell: Tell, tmp_path: Path, words: list[str], text: str | None, sentence: str
) -> None:
    file = tmp_path / "log.jsonl"
    if text is not None:
        file.write_text(text)
    code, out, said = await tell(*words, file)
    assert (code, out) == (2, "")
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", [None, "{}"])
async def test_a_checkpoint_that_is_none_is_one_sentence(
    log: Path, tell: Tell, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "checkpoint.json"
    if text is not None:
        file.write_text(text)
    code, _, said = await tell("audit", "verify", "--from", log, "--checkpoint", file)
    assert code == 2
    assert str(file) in said


async def test_a_run_whose_name_begins_like_another_s_is_asked_for_again(log: Path, tell: Tell, tmp_path: Path) -> None:
    lines = lines_of(log)
    for line in lines:
        line["subject"] = line["subject"].replace(GROUP.runs[0], f"{GROUP.runs[1][:6]}x")
    code, _, said = await tell("audit", "show", "--run", GROUP.runs[1][:6], "--from", rewritten(tmp_path, lines))
    assert code == 2
    assert "give more of the name" in said


async def test_an_unknown_format_names_the_nearest(tell: Tell) -> None:
    code, _, said = await tell("audit", "export", "--format", "jsonlines")
    assert code == 2
    assert "did you mean jsonl?" in said


async def test_without_a_system_the_sentence_says_how_to_start_one(tell: Tell, tmp_path: Path) -> None:
    for words in (["export"], ["verify"], ["checkpoint"], ["show", "--run", "x"]):
        code, _, said = await tell("audit", *words, "--data", tmp_path / "nowhere")
        assert code == 4
        assert "start one with: rung up" in said


async def test_an_output_that_cannot_be_written_is_one_sentence(log: Path, tell: Tell, tmp_path: Path) -> None:
    code, _, said = await tell("audit", "checkpoint", "--from", log, "--output", tmp_path / "no" / "such")
    assert code == 2
    assert "cannot be written" in said


@pytest.mark.parametrize("words", ["export", "verify", "checkpoint", "show"])
async def test_every_command_has_help_with_an_example(tell: Tell, words: str) -> None:
    code, out, _ = await tell("audit", words, "--help")
    assert code == 0
    assert f"Example: rung audit {words}" in " ".join(out.split())


async def test_a_checkpoint_that_is_none_ends_the_reading_of_a_running_system(
    seeded: Path, tell: Tell, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint.json").write_text("[]")
    code, out, said = await tell("audit", "verify", "--data", seeded, "--checkpoint", tmp_path / "checkpoint.json")
    assert (code, out) == (2, "")
    assert "is no checkpoint of a log" in said
