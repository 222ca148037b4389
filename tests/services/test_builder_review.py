"""The builder's review of a real commit, and its look at the documents; only the store of artifacts is a stand-in."""

import datetime as dt
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.contracts.evidence import Evidence, PlanEvidence
from libs.contracts.facts import PhaseRequested
from libs.contracts.history import History
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase
from libs.contracts.workflow import WaiverPolicy
from libs.runtime.artifacts import ArtifactMissing
from libs.runtime.shell import Shell
from libs.runtime.work import Job
from libs.workshop.git import Quarantine, inspect
from libs.workshop.sandbox import Sandbox
from services.builder.looking import look_at_documents
from services.builder.phases import Bench, review
from tests.spec.story import POLICY, RUN, completed, started
from tests.workshop.git_world import commit, repository

EXPIRES = dt.date(2026, 3, 10)
NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC).timestamp()
DAY = 86_400.0
CODE = "import os\n\n\ndef go(x):\n    os.system(x)\n"


class Artifacts:
    """Bytes by their digest."""

    def __init__(self) -> None:
        self.by_digest: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.by_digest[digest] = data
        return digest

    async def get(self, digest: str) -> bytes:
        if digest not in self.by_digest:
            raise ArtifactMissing(digest)
        return self.by_digest[digest]


@pytest.fixture
def artifacts() -> Artifacts:
    return Artifacts()


@pytest.fixture
def bench(tmp_path: Path, artifacts: Artifacts) -> Bench:
    settings = SimpleNamespace(
        repository=lambda _workflow: tmp_path / "quarantine", scratch=tmp_path / "scratch", worker="host:1"
    )
    shell = SimpleNamespace(settings=settings, artifacts=artifacts, teller=lambda _run, _phase: lambda _said: None)
    return Bench(cast("Shell", shell), Sandbox())


async def changed(tmp_path: Path, files: dict[str, str | bytes | None]) -> tuple[Quarantine, str, str]:
    """A quarantine that knows a base and a change on it."""
    place = repository(tmp_path / "repository", {"old.py": "x = 1\n", "README.md": "[old](old.py), `gone()`\n"})
    base = commit(place, {"lib.py": "def gone(): ...\n"})
    candidate = commit(place, files)
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    source = await inspect(place)
    await quarantine.fetch(source, base)
    await quarantine.fetch(source, candidate)
    return quarantine, base, candidate


def job(base: str, candidate: str, *plans: Evidence, waivers: tuple[WaiverPolicy, ...] = (), at: float = NOON) -> Job:
    facts: list[Any] = [completed(Phase.PLAN, evidence=evidence) for evidence in plans]
    recorded = [Recorded(fact, "i", "c", "planner", number, NOON) for number, fact in enumerate(facts, start=1)]
    request = PhaseRequested(
        run=RUN, phase=Phase.REVIEW, attempt=1, base=base, commit=candidate, agent="repair", deadline_s=60.0
    )
    asked = Recorded(request, "r", "c", "gatekeeper", 9, at)
    policy = POLICY.model_copy(update={"waivers": waivers})
    return Job(started(policy=policy), request, asked, History((*recorded, asked)))


async def test_a_review_files_all_findings_and_names_what_no_plan_names(
    bench: Bench, artifacts: Artifacts, tmp_path: Path
) -> None:
    _, base, candidate = await changed(tmp_path, {"a.py": CODE, "b.py": "x = 1\n", "old.py": None})
    plan = await artifacts.put(b"Create `a.py`.\n")
    evidence = Evidence(plan=PlanEvidence(files_named=("old.py",)), artifacts={"plan.md": plan})
    answer = await review(bench, job(base, candidate, evidence))
    assert answer.evidence.problems == ()
    assert answer.evidence.strayed == ("b.py",)
    found = answer.evidence.review
    assert found is not None
    assert found.security == 1
    assert found.command.startswith(f"git checkout {candidate[:12]}; ruff check ")
    told = json.loads(await artifacts.get(answer.evidence.artifacts["findings.json"]))
    assert [one["rule"] for one in told["findings"]] == [one.rule for one in found.findings]
    assert (told["tools"], told["removed"], told["present"]["b.py"]) == (["ruff", "bandit"], ["old.py"], [])


async def test_moved_code_is_no_finding_and_a_second_copy_of_it_is(bench: Bench, tmp_path: Path) -> None:
    place = repository(tmp_path / "repository", {"a.py": CODE})
    base = commit(place, {})
    moved = commit(place, {"a.py": CODE.replace("import os\n", "import os\n\nx = 1\n\n").replace("go", "went")})
    body = CODE.split("\n\n\n")[1]
    copied = commit(place, {"a.py": CODE + "\n\n" + body.replace("go", "went")})
    wrapped = commit(place, {"a.py": CODE.replace("    os", "    if x:\n        os")})
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    for known in (base, moved, copied, wrapped):
        await quarantine.fetch(await inspect(place), known)
    for candidate, count in ((moved, 0), (copied, 1), (wrapped, 0)):
        found = (await review(bench, job(base, candidate))).evidence.review
        assert found is not None
        assert (found.security, len(found.findings)) == (count, count)


async def test_a_waiver_holds_by_the_time_of_the_request_not_by_the_clock(bench: Bench, tmp_path: Path) -> None:
    _, base, candidate = await changed(tmp_path, {"a.py": CODE})
    first = (await review(bench, job(base, candidate))).evidence.review
    assert first is not None
    waiver = WaiverPolicy(fingerprint=first.findings[0].fingerprint, reason="wrapped", author="ann", expires=EXPIRES)
    for at, security, days_left in ((NOON, 0, 0), (NOON + DAY, 1, -1)):
        found = (await review(bench, job(base, candidate, waivers=(waiver,), at=at))).evidence.review
        assert found is not None
        assert (found.security, [one.days_left for one in found.waived]) == (security, [days_left])


async def test_without_a_plan_that_can_be_read_nobody_strayed(bench: Bench, tmp_path: Path) -> None:
    _, base, candidate = await changed(tmp_path, {"a.py": "x = 1\n"})
    erased = Evidence(plan=PlanEvidence(), artifacts={"plan.md": "0" * 64})
    for plans in ((), (erased,)):
        assert (await review(bench, job(base, candidate, *plans))).evidence.strayed is None


async def test_documents_are_held_against_the_whole_change(tmp_path: Path) -> None:
    quarantine, base, candidate = await changed(tmp_path, {"old.py": None, "lib.py": "def new(): ...\n"})
    diff = await quarantine.diff(base, candidate)
    found = await look_at_documents(quarantine, tmp_path / "scratch", base, candidate, diff)
    assert found.broken_links == ("README.md:1 old.py",)
    assert found.undocumented == ("lib.py:1 new",)
    assert found.stale == ("README.md:1 gone",)
    assert list((tmp_path / "scratch").iterdir()) == []
