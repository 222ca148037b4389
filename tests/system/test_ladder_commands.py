"""The commands of the ladder against a running system: asked, answered, refused, and the same from an export."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from libs.cli.main import main
from libs.contracts.facts import FreezeSet, LabelStated, LevelGranted, LevelLowered, RunFinished
from libs.contracts.requests import workflow_id
from libs.contracts.subjects import ladder_filter
from libs.contracts.words import DecisionKind, Level, Phase
from libs.runtime.log import Log
from libs.runtime.rights import API
from tests.support.ladder import grant
from tests.support.quick import RIGHT, quick_agent, quick_repository
from tests.support.repositories import Case
from tests.support.system import Operator, System
from tests.support.waiting import until

WATCHED_BRIEFLY: Final = "watch: 1s\n"

Told = tuple[int, str, str]
Rung = Callable[..., Awaitable[Told]]


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no operator's file of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("RUNG_PERSON_KEY", raising=False)
    monkeypatch.delenv("RUNG_OPERATOR", raising=False)


@pytest.fixture
def rung(system: System, capsys: pytest.CaptureFixture[str]) -> Rung:
    """Exit code, standard output and standard error of a command against the running system."""

    async def told(*words: str, is_here: bool = True) -> Told:
        where = ("--data", str(system.data)) if is_here else ()
        code = await asyncio.to_thread(main, [*words, *where])
        said = capsys.readouterr()
        return code, said.out, said.err

    return told


async def asked(rung: Rung, *words: str, is_here: bool = True) -> tuple[int, dict[str, Any]]:
    code, out, _ = await rung(*words, "--json", is_here=is_here)
    return code, json.loads(out)


async def projected(operator: Operator) -> None:
    """Until what is asked for has taken in the whole log."""

    async def is_at_the_head() -> bool:
        health = (await operator.ask("health"))["ok"]
        return bool(health["position"] >= health["head"])

    await until(is_at_the_head)


async def ladder_facts(operator: Operator, case: Case) -> list[Any]:
    history = await Log(operator.client, api=API).read(ladder_filter(workflow_id(str(case.path))))
    return [recorded.fact for recorded in history.facts]


async def merged_run(operator: Operator, case: Case, agent: str) -> str:
    """A run that people approved all the way, until its watch is over."""
    run = await operator.open_issue(case.path, case.title, case.body, agent=agent, is_known=False)
    view = await operator.until_stopped(run)
    while view.checkpoint is not None:
        view = await operator.answer(view, DecisionKind.APPROVE)
    await operator.until_stated(run, RunFinished)
    return run


# -- levels and freezes -------------------------------------------------------


async def test_what_was_not_earned_is_refused_with_a_sentence_and_exit_code_3(
    system: System, rung: Rung, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    where = ("--repo", str(case.path), "--reason", "I like it")
    code, said = await asked(rung, "level", "grant", "supervised", *where)
    assert (code, said["exit_code"], said["is_recorded"]) == (3, 3, False)
    assert "no run of this workflow has begun" in said["error"]
    await grant(system, case.path, Level.SUPERVISED)
    code, _, err = await rung("level", "lower", "autonomous", *where)
    assert (code, err) == (3, "Refused: the level granted is supervised, which is not above autonomous.\n")


async def test_a_level_is_lowered_and_shown_with_who_did_it_and_why(system: System, rung: Rung, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository", "autonomy: ase\n")
    await grant(system, case.path, Level.AUTONOMOUS)
    where = ("--repo", str(case.path))
    code, said = await asked(rung, "level", "lower", "l2", *where, "--reason", "a new team", "--by", "ann")
    assert code == 0
    assert said.pop("sequence") > 0
    assert said == {
        "workflow": workflow_id(str(case.path)),
        "kind": "lower",
        "level": "supervised",
        "by": "ann",
        "reason": "a new team",
        "with_proof": False,
    }
    _, shown = await asked(rung, "level", *where)
    assert (shown["granted"], shown["moved"]["to"], shown["moved"]["why"]) == ("supervised", "supervised", "a new team")
    code, out, _ = await rung("level", "show", *where)
    assert code == 0
    assert "autonomous to supervised, operator by ann: a new team" in out
    async with system.operator() as operator:
        (fact,) = [one for one in await ladder_facts(operator, case) if isinstance(one, LevelLowered)]
    assert (fact.by, fact.cause) == ("ann", "operator")


async def test_a_freeze_is_set_once_shown_and_lifted(system: System, rung: Rung, tmp_path: Path) -> None:
    case = quick_repository(tmp_path / "repository")
    where = ("--repo", str(case.path))
    code, said = await asked(rung, "freeze", "set", "--reason", "release", "--by", "ann", *where)
    assert (code, said["is_frozen"], said["reason"]) == (0, True, "release")
    code, _, err = await rung("freeze", "set", "--reason", "again", *where)
    assert (code, err) == (3, "Refused: ann has frozen it already: release.\n")
    assert "Frozen by ann: release." in (await rung("readiness", *where))[1]
    assert (await asked(rung, "level", *where))[1]["frozen"] == {"by": "ann", "reason": "release"}
    code, said = await asked(rung, "freeze", "lift", *where)
    assert (code, said["is_frozen"]) == (0, False)
    assert (await rung("freeze", "lift", *where))[0] == 3
    async with system.operator() as operator:
        assert sum(isinstance(fact, FreezeSet) for fact in await ladder_facts(operator, case)) == 1


# -- history ------------------------------------------------------------------


async def test_history_from_elsewhere_is_taken_from_nobody_whom_the_operator_does_not_name(
    system: System, rung: Rung, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    file = tmp_path / "runs.csv"
    file.write_text("run,outcome\n1,merged\n")
    words = ("history", "import", str(file), "--source", "old pipeline", "--reason", "record", "--repo", str(case.path))
    code, _, err = await rung(*words)
    assert (code, "rung person key NAME makes a key" in err) == (3, True)
    assert (await rung("person", "key", "ann", is_here=False))[0] == 0
    code, _, err = await rung(*words)
    assert (code, "signs it with a key that the operator's file names" in err) == (3, True)
    async with system.operator() as operator:
        assert await ladder_facts(operator, case) == []


# -- labels, and readiness live and from an export ----------------------------


async def test_a_label_changes_readiness_and_an_export_tells_the_same_to_the_byte(
    system: System, rung: Rung, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository", WATCHED_BRIEFLY)
    where = ("--repo", str(case.path))
    async with system.operator() as operator:
        run = await merged_run(operator, case, quick_agent(tmp_path, RIGHT))

        code, said = await asked(rung, "label", run[:8], "test", "right", "--reason", "read it", "--by", "ann")
        assert (code, said["run"], said["gate"], said["is_right"], said["source"]) == (0, run, "test", True, "human")
        code, _, err = await rung("label", run[:8], "intent", "right", "--reason", "read it")
        assert (code, err.startswith("Refused: the intent gate has no verdict")) == (3, True)
        (fact,) = [one for one in await ladder_facts(operator, case) if isinstance(one, LabelStated)]
        assert (fact.phase, fact.by) == (Phase.TEST, "ann")

        await projected(operator)
    _, live, _ = await rung("readiness", *where, "--json")
    found = json.loads(live)
    assert found["labels"]["right"] == 1
    assert found["unlabelled"][0]["run"] == run
    assert "test" not in found["unlabelled"][0]["gates"]

    export = tmp_path / "log.jsonl"
    assert (await rung("audit", "export", "--output", str(export)))[0] == 0
    workflow = workflow_id(str(case.path))
    for which in (where, ("--workflow", workflow), ("--workflow", workflow[:12])):
        code, out, _ = await rung("readiness", "--from", str(export), *which, "--json", is_here=False)
        assert (code, out) == (0, live)

    code, out, _ = await rung("readiness", *where)
    assert (code, f"rung label {run[:8]} plan right|wrong" in out) == (0, True)


async def test_a_run_under_way_does_not_make_the_answer_differ_from_that_of_the_log(
    system: System, rung: Rung, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository", WATCHED_BRIEFLY)
    agent, where = quick_agent(tmp_path, RIGHT), ("--repo", str(case.path), "--json")
    async with system.operator() as operator:
        await merged_run(operator, case, agent)
        second = await operator.open_issue(case.path, "Once more", agent=agent, is_known=False)
        await operator.until_stopped(second)
        await projected(operator)
    export = tmp_path / "log.jsonl"
    await rung("audit", "export", "--output", str(export))
    _, live, _ = await rung("readiness", *where)
    assert json.loads(live)["classes"][0]["runs"] == 1
    assert (await rung("readiness", "--from", str(export), *where, is_here=False))[1] == live


# -- what is configured is not what is granted --------------------------------


async def test_a_workflow_that_asks_for_more_than_was_granted_is_told_so_when_it_is_checked_and_run(
    system: System, rung: Rung, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository", "autonomy: ase\n")
    await grant(system, case.path, Level.SUPERVISED)
    _, said = await asked(rung, "workflow", "check", str(case.path / "workflow.yaml"))
    assert (said["level"]["configured"], said["level"]["granted"]) == ("ase", "supervised")
    _, _, err = await rung("workflow", "check", str(case.path / "workflow.yaml"))
    assert "autonomy: ase asks for level 4; a run gets no more than its workflow was granted" in err
    assert "Granted here is supervised" in err
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        view = await operator.until_stopped(run)
        assert "Configured is ase; in force is supervised: granted is supervised." in view.sentences
        assert (await rung("runs", "show", run))[1].count("Configured is ase; in force is supervised") == 1
        assert not any(
            fact.level is Level.ASE for fact in await ladder_facts(operator, case) if isinstance(fact, LevelGranted)
        )
