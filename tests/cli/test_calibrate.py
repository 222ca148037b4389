"""`rung calibrate` on real repositories with a known share of bad commits, in the real sandbox."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from libs.cli.main import main
from libs.contracts.facts import GateCalibrated
from libs.contracts.requests import workflow_id
from libs.contracts.wire import Recorded
from libs.contracts.workflow.limits import gates_digest
from libs.contracts.workflow.reading import read_workflow
from tests.cli.conftest import ROOT, Up, command, environment
from tests.support.quick import CODE, FILES, WORKFLOW
from tests.support.repositories import commit, git, repository

AREA = FILES[CODE]


def area(answer: str, *, remark: str = "") -> dict[str, str]:
    return {CODE: AREA.replace("width + height", answer) + remark}


def revert(place: Path) -> None:
    git(place, "revert", "--no-edit", "HEAD")


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good commits that change code, one of documents, and three that were taken back.

    Of those the tests notice one, the linter another, and nothing the third. One of the good ones only removes a
    line, so that nothing of it can be broken.
    """
    place = repository(
        tmp_path_factory.mktemp("past") / "area", {**FILES, **area("width * height"), "workflow.yaml": WORKFLOW}
    )
    commit(place, "refactor: order", area("height * width"))
    commit(place, "docs: about it", {"README.md": "# Areas\n"})
    commit(place, "feat: always twelve", area("12"))
    revert(place)
    commit(place, "feat: with eval", area("height * width", remark="        # eval\n"))
    revert(place)
    commit(place, "feat: nothing to see", area("height * width + 0"))
    revert(place)
    return place


Told = dict[str, Any]
Tried = Callable[..., tuple[int, Told, str]]


@pytest.fixture
def tried(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tried:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words: str) -> tuple[int, Told, str]:
        code = main(["calibrate", "--json", *words])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return run


def gate(told: Told, name: str) -> Told:
    return next(one for one in told["gates"] if one["gate"] == name)


def counts(told: Told, name: str) -> tuple[int, ...]:
    return tuple(
        gate(told, name)[key] for key in ("right", "wrong", "false_pass", "false_fail", "could_not_tell", "caught")
    )


def test_what_is_known_of_the_past_is_what_is_measured(past: Path, tried: Tried) -> None:
    code, told, _ = tried("--repo", str(past), "--last", "30")
    assert code == 0
    assert told["candidates"] == {"merged": 4, "reverted": 3, "seeded": 3, "skipped": 2}
    assert counts(told, "build") == (4, 6, 6, 0, 0, 0)
    assert counts(told, "test") == (8, 2, 2, 0, 0, 4)
    assert counts(told, "review") == (5, 5, 5, 0, 0, 1)
    assert counts(told, "deploy") == (8, 2, 2, 0, 0, 4)
    assert (gate(told, "test")["accuracy"], gate(told, "test")["bound"]) == (0.8, 0.493098)
    assert told["catch_rate"] == {
        "caught": 5,
        "bad": 6,
        "rate": 0.833333,
        "bound": 0.418196,
        "seeded_caught": 3,
        "seeded_bad": 3,
    }
    (missed,) = told["missed"]
    assert (missed["kind"], missed["is_passed"], missed["why"]) == ("reverted", True, "")
    assert missed["what"].startswith("feat: nothing to see, taken back by ")
    assert told["stopped_wrongly"] == []
    assert told["passed"] == {"good": 4, "passed": 4}
    assert sorted(one["why"] for one in told["skipped"]) == [
        "it is the first commit, so there is nothing that it changes",
        "it touches no code, only documents",
    ]
    assert (told["repository"], told["commit"]) == (str(past), git(past, "rev-parse", "HEAD"))
    assert told["gates_digest"] == gates_digest(read_workflow(WORKFLOW)[0])


def test_a_good_commit_that_a_gate_stops_is_a_false_fail_and_is_not_broken_besides(past: Path, tried: Tried) -> None:
    strict = past.parent / "strict.yaml"
    strict.write_text(WORKFLOW + "gates: {build: {max_files_changed: 1}, deploy: {pr_created: true, all_pass: true}}\n")
    git(past, "switch", "-q", "-c", "wide")
    wide = commit(past, "feat: in two files", {**area("width * height"), "b.sh": "#!/bin/sh\nexit 0\n"})
    code, told, _ = tried("--repo", str(past), "--last", "1", "--workflow", str(strict))
    git(past, "switch", "-q", "main")
    assert code == 0
    assert told["candidates"] == {"merged": 1, "reverted": 0, "seeded": 0, "skipped": 0}
    assert (counts(told, "build"), counts(told, "test")) == ((0, 1, 0, 1, 0, 0), (1, 0, 0, 0, 0, 0))
    (wrongly,) = told["stopped_wrongly"]
    assert (wrongly["commit"], wrongly["why"]) == (wide, "build: 2 files changed, at most 1 allowed")
    assert (told["catch_rate"]["rate"], told["catch_rate"]["bound"]) == (None, None)
    assert told["not_asked"] == ["pr_created"]


def test_a_gate_that_cannot_tell_is_neither_right_nor_wrong(tmp_path: Path, tried: Tried) -> None:
    place = repository(tmp_path / "area", {**FILES, **area("width * height"), "workflow.yaml": WORKFLOW})
    commit(place, "test: no report any more", {"check.sh": "#!/bin/sh\nexit 0\n"})
    commit(place, "refactor: order", area("height * width"))
    _, told, _ = tried("--repo", str(place), "--last", "1")
    assert told["candidates"] == {"merged": 1, "reverted": 0, "seeded": 1, "skipped": 0}
    assert counts(told, "test") == (0, 0, 0, 0, 2, 0)
    assert (gate(told, "test")["accuracy"], gate(told, "test")["bound"]) == (None, None)
    assert (told["catch_rate"]["caught"], told["catch_rate"]["bad"]) == (0, 1)
    (missed,) = told["missed"]
    assert (missed["is_passed"], "test: " in missed["why"]) == (False, True)
    assert told["passed"] == {"good": 1, "passed": 0}


def test_a_repository_of_python_needs_no_workflow(tmp_path: Path, tried: Tried) -> None:
    code = "def price(count):\n    return count * 10\n"
    test = "from shop import price\n\n\ndef test_price():\n    assert [price(n) for n in (0, 1, 7)] == [0, 10, 70]\n"
    place = repository(tmp_path / "shop", {"shop.py": code, "test_shop.py": test})
    commit(place, "feat: cheaper", {"shop.py": code.replace("* 10", "* 9")})
    git(place, "revert", "--no-edit", "HEAD")
    _, told, _ = tried("--repo", str(place), "--last", "2")
    assert told["candidates"] == {"merged": 1, "reverted": 1, "seeded": 1, "skipped": 0}
    caught = {one["gate"]: (one["right"], one["caught"]) for one in told["gates"]}
    assert (caught["test"], told["catch_rate"]["caught"]) == ((2, 1), 1)


# -- broken off, and again ----------------------------------------------------


def started(past: Path, state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("calibrate", "--json", "--repo", str(past), "--jobs", "1", "--last", "4"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(state),
    )


def without_time(told: Told) -> Told:
    return {key: value for key, value in told.items() if key != "duration_s"}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_what_was_judged_before_it_was_broken_off_is_kept(past: Path, tmp_path: Path, end: signal.Signals) -> None:
    with started(past, tmp_path / "state") as first:
        assert first.stderr is not None
        lines = iter(first.stderr.readline, "")
        next(line for line in lines if " of " in line)
        first.send_signal(end)
        said = first.stderr.read()
    if end is signal.SIGINT:
        assert first.returncode == 130
        assert "; the same command goes on" in said
    (kept,) = (tmp_path / "state/rung/calibration").glob("*.jsonl")
    with kept.open("a") as file:
        file.write('{"kind": "merged", "comm')
    with started(past, tmp_path / "state") as second:
        out, err = second.communicate()
    assert "Judged before: " in err
    assert " left: " in err
    with started(past, tmp_path / "state") as third:
        again, rest = third.communicate()
    assert "Judged before: 5 candidates" in rest
    assert without_time(json.loads(again)) == without_time(json.loads(out))
    assert json.loads(out)["candidates"] == {"merged": 2, "reverted": 2, "seeded": 1, "skipped": 0}


def test_all_is_judged_anew_where_that_is_wanted_or_anything_is_otherwise(past: Path, tried: Tried) -> None:
    words = ("--repo", str(past), "--last", "1")
    _, first, _ = tried(*words)
    _, same, err = tried(*words)
    assert "Judged before: 2 candidates" in err
    assert without_time(first) == without_time(same)
    for other in (("--fresh",), ("--seed", "7"), ("--workflow", str(past / "workflow.yaml"))):
        _, told, err = tried(*words, *other)
        assert told["candidates"] == first["candidates"]
        assert ("Judged before: " in err) is (other[0] == "--workflow")


# -- bad input ----------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "plain").mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    single = repository(tmp_path / "single", {"a.py": "x = 1\n"})
    refused = repository(tmp_path / "refused", {"workflow.yaml": "gates: {test: {all_passs: true}}\n"})
    (tmp_path / "bad.yaml").write_text("gates: [\n")
    return {
        "plain": str(tmp_path / "plain"),
        "empty": str(empty),
        "single": str(single),
        "refused": str(refused),
        "bad": str(tmp_path / "bad.yaml"),
        "gone": str(tmp_path / "gone"),
    }


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--repo", ""], 2, "--repo names no repository."),
        (["--repo", "{gone}"], 2, "does not exist."),
        (["--repo", "{plain}"], 2, "is not a git repository."),
        (["--repo", "{empty}"], 2, "has no commit yet"),
        (["--repo", "{single}"], 1, "None of 1 commit could be judged"),
        (["--repo", "{refused}"], 2, "The workflow is refused: workflow.yaml:1"),
        (["--repo", "{single}", "--workflow", "{bad}"], 2, "The workflow is refused: "),
        (["--repo", "{single}", "--workflow", "{gone}"], 2, "cannot be read"),
        (["--repo", "{single}", "--last", "0"], 2, "greater than or equal to 1"),
        (["--repo", "{single}", "--jobs", "0"], 2, "greater than or equal to 1"),
        (["--repo", "{single}", "--record"], 4, "No system runs"),
        ([], 2, "Missing option"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(
    words: list[str], code: int, said: str, places: Mapping[str, str], tried: Tried
) -> None:
    ended, told, err = tried(*(word.format(**places) for word in words))
    assert (ended, told["exit_code"]) == (code, code)
    assert said in told["error"]
    assert "Traceback" not in err


# -- for people, and for the log ----------------------------------------------


def test_a_person_reads_a_table_and_what_was_missed(
    past: Path, tried: Tried, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--repo", str(past)]) == 0
    said = capsys.readouterr()
    rows = {line.split()[0]: line.split() for line in said.out.splitlines() if line.startswith(("test ", "review "))}
    assert rows["test"] == ["test", "80.0%", "49.3%", "8", "2", "2", "0", "0", "4", "of", "6"]
    assert "Catch rate: 5 of 6 bad ones" in said.out
    assert "Missed: " in said.out
    assert "plan and document are not tried" in said.err


@pytest.fixture(scope="module")
def asked_to_record(past: Path, up: Up) -> Told:
    done = subprocess.run(
        command(
            "calibrate", "--json", "--repo", str(past), "--last", "2", "--record", "--data", up.data, "--by", "ann"
        ),
        capture_output=True,
        cwd=ROOT,
        env={**environment(Path(up.data)), "RUNG_PERSON_KEY": ""},
        check=False,
    )
    return {"code": done.returncode, "err": done.stderr.decode(), **json.loads(done.stdout)}


async def test_the_result_stands_in_the_log_with_its_report(asked_to_record: Told, up: Up) -> None:
    from libs.cli.connection import connected

    told = asked_to_record
    assert told["code"] == 0, told["err"]
    async with connected(Path(up.data)) as connection:
        workflow = workflow_id(os.path.realpath(told["repository"]))
        (found,) = (await connection.log.read(f"workflow.{workflow}.{GateCalibrated.type}")).facts
        report = json.loads(await connection.artifacts.get(told["recorded"]["report"]))
    assert isinstance(found, Recorded)
    assert isinstance(fact := found.fact, GateCalibrated)
    assert (found.sequence, found.cause) == (told["recorded"]["sequence"], told["recorded"]["request"])
    assert (fact.by, fact.seeded, fact.caught, fact.good, fact.passed) == ("ann", 1, 1, 1, 1)
    assert (fact.commit, fact.gates_digest) == (told["commit"], told["gates_digest"])
    assert report["catch_rate"] == told["catch_rate"]
