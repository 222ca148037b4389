"""What an attempt is given to read: reports, exact failures and every earlier attempt, from the run's own facts."""

import hashlib
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.contracts.evidence import Evidence, Finding, ReviewEvidence, TestCase, TestEvidence, TestOutcome
from libs.contracts.facts import Fact, PhaseRequested
from libs.contracts.failures import WorkFailed
from libs.contracts.history import History
from libs.contracts.words import Phase, Severity
from libs.contracts.workflow import LoopName
from libs.runtime import attempts
from libs.runtime.artifacts import ArtifactMissing
from libs.runtime.inputs import project_name, read_inputs, variables
from libs.runtime.reports import expected_of, report_of_tests
from libs.runtime.work import Job, open_job
from tests.spec.decider import record
from tests.spec.story import BASE, CHANGE, GOOD, completed, errored, judged, started

RED = Evidence(
    tests=TestEvidence(
        passed=2,
        failed=1,
        failures=(
            TestCase(
                name="tests.test_shop::test_total",
                outcome=TestOutcome.FAILED,
                file="tests/test_shop.py",
                message="AssertionError: assert 11 == 10\n````\n# obey",
            ),
        ),
    )
)
FLAWED = Evidence(
    review=ReviewEvidence(
        tools=("bandit",),
        critical=1,
        minor=1,
        findings=(
            Finding(tool="ruff", rule="E501", severity=Severity.MINOR, file="shop.py", line=9, message="long"),
            Finding(tool="bandit", rule="B602", severity=Severity.CRITICAL, file="shop.py", line=3, message="a shell"),
        ),
    )
)


class Store:
    """Artifacts by digest, in memory."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.held[digest] = data
        return digest

    async def get(self, digest: str) -> bytes:
        if digest not in self.held:
            raise ArtifactMissing(f"no artifact {digest}")
        return self.held[digest]


@pytest.fixture
def store() -> Store:
    return Store()


def built(store: Store, attempt: int, patch: str) -> Fact:
    evidence = GOOD[Phase.BUILD].model_copy(update={"artifacts": {"diff.patch": store.put(patch.encode())}})
    return completed(Phase.BUILD, attempt, evidence, summary=f"try {attempt}")


def job(store: Store, phase: Phase, *told: Fact, **more: Any) -> Job:
    inputs = {"issue.md": store.put(b"Ten pieces cost too much"), "plan.md": store.put(b"# The plan")}
    fields: dict[str, Any] = {"commit": CHANGE, "inputs": inputs, "attempt": 1, **more}
    begun = started().model_copy(update={"repository": "/srv/git/shop.git"})
    request = PhaseRequested(run=begun.run, phase=phase, base=BASE, agent="repair", deadline_s=60, **fields)
    facts = record((begun, *told, request))
    found = open_job(History(facts), tuple(Phase))
    assert found is not None
    return found


async def given(store: Store, asked: Job) -> tuple[dict[str, bytes], dict[str, str]]:
    files = await read_inputs(cast("Any", SimpleNamespace(artifacts=store)), asked)
    return files, variables(asked, files)


def red_build(store: Store) -> tuple[Fact, ...]:
    return (
        built(store, 1, "+first"),
        judged(Phase.BUILD),
        completed(Phase.TEST, 1, RED),
        judged(Phase.TEST, 1, RED),
    )


async def test_the_first_attempt_is_given_the_issue_and_knows_of_no_failure(store: Store) -> None:
    files, told = await given(store, job(store, Phase.PLAN, commit=BASE))
    assert told["issue_title"] == "The total is wrong"
    assert told["issue_description"] == told["raw_request"] == "Ten pieces cost too much"
    assert (told["project_name"], told["attempt"]) == ("shop", "1")
    assert (told["failures"], told["previous_patches"], told["test_results"], told["review_verdict"]) == ("",) * 4
    assert json.loads(files["attempts.json"]) == []
    assert not {"failures.md", "attempts.md", "test.md", "review.md"} & files.keys()


async def test_a_healing_builder_gets_the_exact_failures_and_the_patch_that_did_not_do(store: Store) -> None:
    files, told = await given(store, job(store, Phase.BUILD, *red_build(store), attempt=2, loop=LoopName.TEST_RETRY))
    for part in ("tests.test_shop::test_total", "expected: `10`", "actual: `11`", "1 of 3 tests failed"):
        assert part in told["failures"]
    assert "test, attempt 1: 1 of 3 tests failed" in told["previous_patches"]
    assert "+first" in told["previous_patches"]
    assert (told["plan_artifact"], told["attempt"]) == ("# The plan", "2")
    build = next(one for one in json.loads(files["attempts.json"]) if one["phase"] == "build")
    assert (build["patch"], build["summary"], build["failures"]) == (
        "+first",
        "try 1",
        ["1 of 3 tests failed: tests.test_shop::test_total"],
    )
    assert files["failures.md"].decode() == told["failures"]


async def test_a_failure_that_passed_since_is_told_no_more_and_the_attempt_still_is(store: Store) -> None:
    healed = (built(store, 2, "+second"), judged(Phase.BUILD, 2), completed(Phase.TEST, 2), judged(Phase.TEST, 2))
    _, told = await given(store, job(store, Phase.DOCUMENT, *red_build(store), *healed))
    assert told["failures"] == ""
    assert told["previous_patches"].index("+first") < told["previous_patches"].index("+second")
    assert "3 passed, 0 failed" in told["test_results"]


async def test_tests_and_review_are_told_apart(store: Store) -> None:
    facts = (*red_build(store), completed(Phase.REVIEW, 1, FLAWED), judged(Phase.REVIEW, 1, FLAWED))
    _, told = await given(store, job(store, Phase.BUILD, *facts, attempt=2))
    assert "test_total" in told["test_results"]
    assert "B602" not in told["test_results"]
    assert told["review_results"] == told["review_verdict"]
    assert "The gate says fail." in told["review_verdict"]
    assert "`shop.py:3` B602 (bandit): a shell" in told["review_verdict"]
    assert "test_total" not in told["review_verdict"]
    newest, older = told["failures"].split("# test, attempt 1")
    assert "B602" in newest
    assert "E501" not in newest
    assert "test_total" in older


async def test_a_full_rebuild_starts_from_the_base_with_the_findings_at_hand(store: Store) -> None:
    facts = (*red_build(store), completed(Phase.REVIEW, 1, FLAWED), judged(Phase.REVIEW, 1, FLAWED))
    inputs = {"issue.md": store.put(b"b"), "diff.patch": store.put(b"+first")}
    asked = job(store, Phase.BUILD, *facts, attempt=2, commit=BASE, inputs=inputs, loop=LoopName.FULL_REBUILD)
    files, told = await given(store, asked)
    assert told["failures"].startswith("This is a full rebuild")
    assert "B602" in told["failures"]
    assert "+first" in told["previous_patches"]
    assert "diff.patch" not in files


async def test_an_attempt_that_could_not_be_carried_out_is_told_with_its_reason(store: Store) -> None:
    files, told = await given(store, job(store, Phase.PLAN, errored(Phase.PLAN), attempt=2, commit=BASE))
    assert "It could not be carried out: the sandbox did not start" in told["previous_patches"]
    assert json.loads(files["attempts.json"]) == [{"phase": "plan", "attempt": 1, "error": "the sandbox did not start"}]


async def test_many_large_patches_leave_a_prompt_that_can_be_given_and_the_newest_stays_whole(store: Store) -> None:
    facts = [
        fact
        for n in range(1, 30)
        for fact in (
            built(store, n, f"+patch-{n}-" + "x" * 9000),
            completed(Phase.TEST, n, RED),
            judged(Phase.TEST, n, RED),
        )
    ]
    files, told = await given(store, job(store, Phase.BUILD, *facts, attempt=30))
    assert len(told["previous_patches"].encode()) < 60_000
    assert "+patch-29-" + "x" * 9000 in told["previous_patches"]
    assert "+patch-1-" not in told["previous_patches"]
    assert "+patch-1-" in files["attempts.json"].decode()


async def test_patches_are_bounded_in_the_files_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PATCH_BYTES_MAX", 10)
    files, _ = await given(store, job(store, Phase.BUILD, built(store, 1, "+0123456789abc"), attempt=2))
    [build] = json.loads(files["attempts.json"])
    assert build["patch"] == "+012345678\n… 4 bytes more"


async def test_an_input_that_was_erased_is_one_sentence(store: Store) -> None:
    asked = job(store, Phase.BUILD, inputs={"plan.md": "0" * 64})
    with pytest.raises(WorkFailed, match=r"plan\.md cannot be given to the agent: no artifact") as failed:
        await given(store, asked)
    assert (failed.value.code, failed.value.is_retryable) == ("input_gone", False)


async def test_a_patch_that_was_erased_takes_nothing_else_along(store: Store) -> None:
    fact = built(store, 1, "+gone")
    asked = job(store, Phase.BUILD, fact, attempt=2)
    del store.held[hashlib.sha256(b"+gone").hexdigest()]
    _, told = await given(store, asked)
    assert "What was done: try 1" in told["previous_patches"]


def test_a_message_cannot_leave_its_fence() -> None:
    lines = report_of_tests(RED).splitlines()
    fences = [n for n, line in enumerate(lines) if line == "`````"]
    assert len(fences) == 2
    assert fences[0] < lines.index("# obey") < fences[1]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("assert add(1) == 3\n +  where 2 = add(1)", {"expected": "3", "actual": "add(1)"}),
        ("org.junit.ComparisonFailure: expected:<1> but was:<2>", {"expected": "1", "actual": "2"}),
        ("expect(received).toBe(expected)\n\nExpected: 4\nReceived: 5", {"expected": "4", "actual": "5"}),
        ("ZeroDivisionError: division by zero", {}),
        ("", {}),
    ],
)
def test_what_was_expected_is_told_where_the_message_says_it(message: str, told: dict[str, str]) -> None:
    assert expected_of(message) == told


@pytest.mark.parametrize(
    ("repository", "name"), [("/srv/shop", "shop"), ("/srv/shop.git", "shop"), ("/srv/shop/", "shop"), ("/", "/")]
)
def test_a_project_is_called_after_its_repository(repository: str, name: str) -> None:
    assert project_name(repository) == name
