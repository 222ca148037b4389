"""What the builder measures: beside the tests also what a gate asks for; and what passes for a document."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from libs.contracts.facts import PhaseRequested, RunStarted
from libs.contracts.history import History
from libs.contracts.wire import Recorded
from libs.contracts.words import Phase
from libs.contracts.workflow import Policy
from libs.contracts.workflow.reading import read_workflow
from libs.runtime.shell import Shell
from libs.runtime.work import Job
from libs.workshop.git import Quarantine, inspect
from libs.workshop.sandbox import Sandbox
from services.builder import phases
from services.builder.phases import Bench
from tests.services.test_builder_review import Artifacts
from tests.spec.story import RUN, started
from tests.workshop.git_world import commit, repository

CHECK = "sh check.sh"
FILES: Mapping[str, str] = {
    "area.sh": "echo $(($1 + $2))\n",
    "check.sh": """\
test "$(sh area.sh 3 4)" = 12 || failure='<failure message="wrong"/>'
echo "<testsuite><testcase name='area'>$failure</testcase></testsuite>" > report.xml
echo '{"bundle_kb_max": 7, "has_diagram": true}' > metrics.json
test -z "$failure"
""",
    "lint.sh": """\
echo '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "sh"}}, "results": []}]}' > lint.sarif
""",
}
WORKFLOW = """\
commands: { test: sh check.sh, lint: sh lint.sh }
reports: { junit: [report.xml], sarif: [lint.sarif], values: [metrics.json] }
reported: [bundle_kb_max]
gates:
  build: { GATE }
  test: { all_pass: true, bundle_kb_max: 10 }
"""
FIX = "sed -i 's/+/*/' area.sh"


def policy(gate: str = "max_files_changed: 9") -> Policy:
    return read_workflow(WORKFLOW.replace("GATE", gate))[0]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    artifacts = Artifacts()
    settings = SimpleNamespace(
        repository=lambda _workflow: tmp_path / "quarantine",
        scratch=tmp_path / "scratch",
        state=tmp_path / "state",
        worker="host:1",
    )
    shell = SimpleNamespace(settings=settings, artifacts=artifacts, teller=lambda _run, _phase: lambda _said: None)
    return Bench(cast("Shell", shell), Sandbox())


async def job(bench: Bench, tmp_path: Path, phase: Phase, agent: str, asked: Policy) -> Job:
    place = repository(tmp_path / "repository", dict(FILES))
    base = commit(place, {})
    candidate = commit(place, {"area.sh": "echo $(($1 * $2))\n"}) if phase is not Phase.BUILD else base
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    source = await inspect(place)
    for one in {base, candidate}:
        await quarantine.fetch(source, one)
    body = await bench.shell.artifacts.put(b"The area is wrong.")
    request = PhaseRequested(
        run=RUN,
        phase=phase,
        attempt=1,
        base=base,
        commit=candidate,
        agent=f"exec:sh -c '{agent}'" if agent else "repair",
        inputs={"issue.md": body},
        deadline_s=60.0,
    )
    recorded = Recorded(request, "r", "c", "gatekeeper", 2, 1_000.0)
    begun: RunStarted = started(policy=asked, agent_by="operator").model_copy(update={"body": body})
    return Job(begun, request, recorded, History((Recorded(begun, "s", "c", "gatekeeper", 1, 999.0), recorded)))


async def test_the_build_is_measured_by_its_change_alone_where_the_gate_asks_no_more(
    bench: Bench, tmp_path: Path
) -> None:
    answer = await phases.build(bench, await job(bench, tmp_path, Phase.BUILD, FIX.replace("'", ""), policy()))
    assert answer.evidence.problems == ()
    assert answer.evidence.diff is not None
    assert [file.path for file in answer.evidence.diff.files] == ["area.sh"]
    assert (answer.evidence.tests, answer.evidence.review) == (None, None)


async def test_a_gate_after_the_build_may_ask_for_linters_and_tests(bench: Bench, tmp_path: Path) -> None:
    asked = policy("lint_errors: 0, all_pass: true")
    answer = await phases.build(bench, await job(bench, tmp_path, Phase.BUILD, FIX.replace("'", ""), asked))
    assert answer.evidence.problems == ()
    assert answer.evidence.tests is not None
    assert answer.evidence.tests.passed == 1
    assert answer.evidence.review is not None
    assert answer.evidence.review.tools


async def test_the_repository_s_own_values_come_with_its_tests(bench: Bench, tmp_path: Path) -> None:
    answer = await phases.test(bench, await job(bench, tmp_path, Phase.TEST, "", policy()))
    assert answer.evidence.problems == ()
    assert answer.evidence.reported == {"bundle_kb_max": 7, "has_diagram": True}
    assert answer.evidence.diff is not None


@pytest.mark.parametrize("name", ["requirements.txt", "docs/conf.py", "area.sh"])
async def test_what_only_looks_like_a_document_is_not_taken(bench: Bench, tmp_path: Path, name: str) -> None:
    agent = f"mkdir -p docs; echo reqeusts==1 >> {name}"
    asked = await job(bench, tmp_path, Phase.DOCUMENT, agent, policy())
    answer = await phases.document(bench, asked)
    assert answer.evidence.problems
    assert answer.commit == asked.request.commit
    assert "document-refused.patch" in answer.evidence.artifacts
