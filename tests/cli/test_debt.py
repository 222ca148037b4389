"""`rung debt` reads the findings of merged runs from a real log."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from libs.cli.debt import AT_ONCE
from libs.cli.main import main
from libs.contracts.evidence import Evidence, Finding, ReviewEvidence
from libs.contracts.facts import ChangeMerged, ChangeReverted, Fact
from libs.contracts.history import Fence
from libs.contracts.words import Phase, Service, Severity
from libs.runtime.log import Log
from libs.workshop.evidence.findings import counted, findings_file
from tests.spec.story import BASE, CHANGE, TREE, completed, started
from tests.support.bus import Bus, running_bus

Told = tuple[int, Any, str]
Tell = Callable[..., Awaitable[Told]]


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "data") as bus:
        yield bus


@pytest.fixture
def tell(bus: Bus, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Exit code, the JSON value and standard error of `rung debt`."""

    async def told(*words: str) -> Told:
        code = await asyncio.to_thread(main, ["debt", "--data", str(bus.data), "--json", *words])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return told


def finding(name: str, severity: Severity = Severity.MAJOR, file: str = "a.py", tool: str = "ruff") -> Finding:
    return Finding(
        tool=tool,
        rule="B006",
        severity=severity,
        file=file,
        line=3,
        message=f"about {name}",
        fingerprint=hashlib.sha256(name.encode()).hexdigest()[:32],
    )


class Story:
    """States runs as gatekeeper, builder and merger do; `file` is false where the artifact is to be missing."""

    def __init__(self, logs: Mapping[Service, Log], bus: Bus) -> None:
        self._logs = logs
        self._bus = bus

    async def merged(
        self,
        run: str,
        *findings: Finding,
        present: Mapping[str, Iterable[Finding]] | None = None,
        removed: tuple[str, ...] = (),
        tools: tuple[str, ...] = ("ruff",),
        repository: str = "/srv/shop",
        is_filed: bool = True,
        is_merged: bool = True,
    ) -> None:
        marks = {path: frozenset(one.fingerprint for one in found) for path, found in (present or {}).items()}
        data = findings_file(findings, tools=tools, present=marks, removed=removed)
        async with self._bus.artifacts(Service.BUILDER) as artifacts:
            digest = await artifacts.put(data) if is_filed else hashlib.sha256(data).hexdigest()
        review = counted(ReviewEvidence(tools=tools), findings)
        evidence = Evidence(review=review, artifacts={"findings.json": digest})
        start = started().model_copy(update={"run": run, "repository": repository})
        await self._state(Service.GATEKEEPER, start)
        await self._state(Service.BUILDER, completed(Phase.REVIEW, evidence=evidence).model_copy(update={"run": run}))
        if is_merged:
            merge = ChangeMerged(run=run, base=BASE, tip=CHANGE, tree=TREE, target="main", method="squash")
            await self._state(Service.MERGER, merge)

    async def reverted(self, run: str) -> None:
        await self._state(Service.MERGER, ChangeReverted(run=run, tip=BASE, reverts=CHANGE, reason="slow"))

    async def _state(self, service: Service, fact: Fact) -> None:
        await self._logs[service].append(fact, cause="a" * 32, fence=Fence(fact.subject, 0))


@pytest.fixture
async def story(bus: Bus) -> AsyncIterator[Story]:
    services = (Service.GATEKEEPER, Service.BUILDER, Service.MERGER)
    async with contextlib.AsyncExitStack() as stack:
        logs = {service: await stack.enter_async_context(bus.log(service)) for service in services}
        yield Story(logs, bus)


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["message"].removeprefix("about ") for item in items]


async def test_findings_of_merged_runs_are_debt_heaviest_first(tell: Tell, story: Story) -> None:
    minor, critical, blocker = (
        finding("minor", Severity.MINOR),
        finding("critical", Severity.CRITICAL),
        finding("blocker", Severity.BLOCKER),
    )
    await story.merged("r1", minor, critical, blocker)
    await story.merged("r2", finding("unmerged"), is_merged=False)
    code, items, _ = await tell()
    assert code == 0
    assert ids(items) == ["critical", "minor"]
    assert items[0] == {
        "id": critical.fingerprint,
        "repository": "/srv/shop",
        "file": "a.py",
        "line": 3,
        "rule": "B006",
        "tool": "ruff",
        "severity": "critical",
        "message": "about critical",
        "run": "r1",
        "since": items[0]["since"],
    }


async def test_an_item_stays_with_the_run_that_brought_it_until_a_review_no_longer_sees_it(
    tell: Tell, story: Story
) -> None:
    old = finding("old")
    await story.merged("r1", old)
    await story.merged("r2", old, present={"a.py": [old]})
    _, items, _ = await tell()
    assert [(item["run"], item["id"]) for item in items] == [("r1", old.fingerprint)]
    await story.merged("r3", present={"b.py": []})
    await story.merged("r4", present={"a.py": []}, tools=("bandit",))
    assert ids((await tell())[1]) == ["old"]
    await story.merged("r5", present={"a.py": []})
    assert (await tell())[1] == []


async def test_an_item_goes_with_its_file_and_with_a_revert(tell: Tell, story: Story) -> None:
    await story.merged("r1", finding("gone", file="gone.py"), finding("kept"))
    await story.merged("r2", finding("undone"))
    await story.merged("r3", removed=("gone.py",), tools=())
    await story.merged("r4", present={"a.py": []})
    await story.reverted("r2")
    await story.reverted("r4")
    assert ids((await tell())[1]) == ["kept"]


async def test_debt_is_told_by_repository(tell: Tell, story: Story, tmp_path: Path) -> None:
    await story.merged("r1", finding("here"), repository=str(tmp_path))
    await story.merged("r2", finding("there"))
    await story.merged("r3", present={"a.py": []})
    assert ids((await tell())[1]) == ["here"]
    assert ids((await tell("--repo", str(tmp_path)))[1]) == ["here"]
    assert (await tell("--repo", "/srv/shop"))[1] == []


async def test_no_finding_is_lost_beyond_those_that_the_fact_names(tell: Tell, story: Story) -> None:
    await story.merged("r1", *(finding(f"n{number}") for number in range(60)))
    assert len((await tell())[1]) == 60


async def test_findings_whose_file_was_erased_are_told_as_far_as_they_are_known(tell: Tell, story: Story) -> None:
    await story.merged("r1", *(finding(f"n{number}") for number in range(60)), is_filed=False)
    _, items, said = await tell()
    assert len(items) == 50
    assert "only the first findings are known" in said


async def test_more_runs_than_are_read_at_once_are_all_read(
    tell: Tell, story: Story, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(AT_ONCE + 3):
        await story.merged(f"r{number}", finding(f"n{number}", file=f"f{number}.py"))
    assert len((await tell())[1]) == AT_ONCE + 3
    assert await asyncio.to_thread(main, ["debt", "--data", str(bus.data)]) == 0
    said = capsys.readouterr().out
    assert finding("n7").fingerprint in said
    assert "shop: f7.py:3" in said


async def test_no_merged_runs_are_no_debt(bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(main, ["debt", "--data", str(bus.data)]) == 0
    assert capsys.readouterr().err == "No debt.\n"
