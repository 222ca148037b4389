"""The audit of a log that the real services wrote, killed in between: sound, the same elsewhere, and never silent."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libs.cli.main import main
from libs.contracts.facts import ChangeMerged, MergeAuthorised, PhaseClaimed
from libs.contracts.words import DecisionKind, Level, Phase, Service
from tests.support.ladder import grant
from tests.support.quick import LEARNS, RIGHT, WRONG, Barrier, quick_agent, quick_repository
from tests.support.system import Operator, System, running_system

AUTO_MERGE = "autonomy: ase\nauto_merge: { enabled: true, delay: 1s }\nwatch: { duration: 1s }\n"


async def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, Any]:
    """Exit code and JSON answer of a command."""
    code = await asyncio.to_thread(main, [*map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


async def written(*words: object) -> None:
    assert await asyncio.to_thread(main, [str(word) for word in words]) == 0


async def guided_by_a_person(system: System, operator: Operator, place: Path) -> str:
    """A run that fails its tests first, whose services are all killed while an agent works, and that is merged."""
    case = quick_repository(place / "repository", "watch: { duration: 1s }\n")
    barrier = Barrier(place)
    agent = barrier.shown_to(quick_agent(place, WRONG, f"{barrier.wait}; {RIGHT}"))
    run = await operator.open_issue(case.path, case.title, case.body, agent=agent)
    view = await operator.until_stopped(run)
    while view.checkpoint is not None and view.checkpoint.outcome != "fail":
        view = await operator.answer(view, DecisionKind.APPROVE)
    await operator.decide(run, DecisionKind.GUIDE, guidance="multiply", reason="it adds")
    await operator.until_stated(run, PhaseClaimed, phase=Phase.BUILD, attempt=2)
    await system.restart(*Service)
    barrier.open()
    view = await operator.until_stopped(run, after=view)
    while view.checkpoint is not None:
        view = await operator.answer(view, DecisionKind.APPROVE)
    await operator.until_stage(run, "ended")
    return run


async def by_itself(system: System, operator: Operator, place: Path) -> str:
    """A run that heals itself, and merges by itself where the level allows it."""
    case = quick_repository(place / "repository", AUTO_MERGE)
    await grant(system, case.path, Level.ASE)
    run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(place, LEARNS), level=Level.ASE)
    view = await operator.until_stopped(run)
    while view.checkpoint is not None:
        view = await operator.answer(view, DecisionKind.APPROVE)
    await operator.until_stage(run, "ended")
    return run


@pytest.fixture
def own_system(tmp_path: Path) -> Iterator[System]:
    """A system of its own, for nothing else may write into its log."""
    with running_system(tmp_path / "data") as system:
        yield system


async def test_what_real_services_wrote_is_sound_and_is_the_same_elsewhere(
    own_system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    data = ("--data", own_system.data)
    async with own_system.operator() as operator:
        guided = await guided_by_a_person(own_system, operator, places[0])
        await written("audit", "checkpoint", "--output", tmp_path / "checkpoint", *data)
        await by_itself(own_system, operator, places[1])
        assert len(await operator.facts(guided, ChangeMerged)) == 1
        (authorised,) = await operator.facts(guided, MergeAuthorised)
    code, live = await told(capsys, "audit", "verify", "--checkpoint", tmp_path / "checkpoint", *data)
    assert (code, live["findings"]) == (0, [])
    assert live["grown"] is not None
    assert live["artifacts"] > 5
    await written("audit", "export", "--output", tmp_path / "log.jsonl", *data)
    _, replayed = await told(capsys, "replay", *data)
    code, elsewhere = await told(capsys, "replay", "--from", tmp_path / "log.jsonl")
    assert (code, elsewhere["digest"]) == (0, replayed["digest"])
    code, offline = await told(capsys, "audit", "verify", "--from", tmp_path / "log.jsonl")
    assert (code, offline["findings"], offline["root"]) == (0, [], live["root"])
    _, story = await told(capsys, "audit", "show", "--run", guided, "--from", tmp_path / "log.jsonl")
    assert [fact["type"] for fact in story][-1] == "run.finished"
    assert any(fact["who"] == authorised.by for fact in story if fact["type"] == "merge.authorised")
