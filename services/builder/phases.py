"""The builder's four phases: agents change and document; tests and review are run by Rung itself.

The agent's word is never evidence: what it left is taken as a commit and measured.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from libs.contracts.evidence import DocumentEvidence, Evidence, Problem
from libs.contracts.facts import PhaseCompleted
from libs.contracts.words import Phase, Severity
from libs.runtime.inputs import read_inputs, variables
from libs.runtime.reports import report_of_review, report_of_tests
from libs.runtime.shell import Shell
from libs.runtime.work import Job, completed
from libs.workshop.attempt import Attempted, attempt
from libs.workshop.change import diff_evidence, is_document
from libs.workshop.compared import BASELINES, Change, compared_tests
from libs.workshop.evidence.findings import findings_file
from libs.workshop.evidence.paths import is_changelog
from libs.workshop.evidence.waivers import waive
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Diff, Quarantine
from libs.workshop.guards.judging import guard
from libs.workshop.mutation import with_mutants
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial, report_files
from services.builder.looking import by_hand, look_at_change, look_at_documents, removed, strayed_from_plan

UNREADABLE: Final = "change_unreadable"
NO_TESTS: Final = "no tests could be read"
TESTED: Final = frozenset({"tests", "coverage", "mutation"})
"""Parts of the evidence that come from running the tests."""


class Bench:
    """Where the builder works: one sandbox, and a repository of Rung's own for each workflow."""

    def __init__(self, shell: Shell, sandbox: Sandbox) -> None:
        self.shell = shell
        self.sandbox = sandbox

    async def quarantine(self, job: Job) -> Quarantine:
        with told_as_failures(UNREADABLE):
            return await Quarantine.open(self.shell.settings.repository(job.started.workflow))

    async def trial(self, job: Job) -> Trial:
        return Trial(
            sandbox=self.sandbox,
            quarantine=await self.quarantine(job),
            scratch=self.shell.settings.scratch,
            policy=job.started.policy,
            limits=Limits(wall_s=job.request.work_s),
            on_output=self.shell.teller(job.run, job.request.phase),
        )

    async def ask_agent(self, job: Job) -> Attempted:
        files = await read_inputs(self.shell, job)
        return await attempt(
            job.started,
            job.request,
            files=files,
            variables=variables(job, files),
            sandbox=self.sandbox,
            quarantine=await self.quarantine(job),
            scratch=self.shell.settings.scratch,
            on_output=self.shell.teller(job.run, job.request.phase),
        )


async def build(bench: Bench, job: Job) -> PhaseCompleted:
    """The agent changes the code; the evidence is the change itself, and what else the gate after it reads."""
    done = await bench.ask_agent(job)
    policy, quarantine = job.started.policy, await bench.quarantine(job)
    diff = await _diff(quarantine, job.request.base, done.commit)
    with told_as_failures(UNREADABLE):
        commands = (*policy.commands.test, *policy.commands.lint)
        problems = await guard(quarantine, job.request.base, done.commit, diff, commands)
    evidence = Evidence(commit=done.commit, diff=diff_evidence(diff, policy.protected), problems=problems)
    files = {**done.files, "diff.patch": diff.patch}
    wanted = policy.reads(Phase.BUILD) if diff.files else frozenset[str]()
    if wanted & TESTED:
        evidence, reports = await _with_tests(bench, job, evidence, diff)
        files |= reports
    if "review" in wanted:
        evidence, reports = await _with_review(bench, job, evidence, diff)
        files |= reports
    return await completed(
        bench.shell,
        job,
        evidence=evidence,
        commit=done.commit,
        files=files,
        summary=_sizes(diff),
        declined=done.report.declined,
        cost_usd=done.report.cost_usd,
    )


async def test(bench: Bench, job: Job) -> PhaseCompleted:
    """Rung runs the repository's tests on the candidate, beside those of its base, and reads the reports."""
    evidence, diff = await _candidate(bench, job)
    evidence, files = await _with_tests(bench, job, evidence, diff)
    passed = f"{evidence.tests.passed} of {evidence.tests.total} tests passed" if evidence.tests else NO_TESTS
    files["test.md"] = report_of_tests(evidence).encode()
    return await completed(bench.shell, job, evidence=evidence, files=files, summary=passed)


async def review(bench: Bench, job: Job) -> PhaseCompleted:
    """Rung runs the analysers on the candidate; only findings on changed lines that nobody waived count."""
    evidence, diff = await _candidate(bench, job)
    evidence, files = await _with_review(bench, job, evidence, diff)
    evidence = evidence.model_copy(update={"strayed": await strayed_from_plan(bench.shell, job, diff)})
    found = sum(getattr(evidence.review, severity) for severity in Severity) if evidence.review else 0
    files["review.md"] = report_of_review(evidence).encode()
    return await completed(bench.shell, job, evidence=evidence, files=files, summary=f"{found} findings")


async def _candidate(bench: Bench, job: Job) -> tuple[Evidence, Diff]:
    """What is known of the candidate before anything is run."""
    diff = await _diff(await bench.quarantine(job), job.request.base, job.request.commit)
    return Evidence(commit=job.request.commit, diff=diff_evidence(diff, job.started.policy.protected)), diff


async def _with_tests(bench: Bench, job: Job, evidence: Evidence, diff: Diff) -> tuple[Evidence, dict[str, bytes]]:
    """The evidence with that of the tests, and the reports."""
    assert evidence.commit is not None, "tests are run on a commit"
    trial = await bench.trial(job)
    change = Change(job.request.base, evidence.commit, diff.changed_lines, job.request.targets, job.started.issue_type)
    with told_as_failures(UNREADABLE):
        found = await compared_tests(trial, change, bench.shell.settings.state / BASELINES)
    tested = evidence.model_copy(
        update={
            "tests": found.tests,
            "coverage": found.coverage,
            "reported": {**evidence.reported, **found.reported},
            "problems": (*evidence.problems, *found.problems),
        }
    )
    return await with_mutants(trial, tested, diff.changed_lines), report_files("test", found.reports)


async def _with_review(bench: Bench, job: Job, evidence: Evidence, diff: Diff) -> tuple[Evidence, dict[str, bytes]]:
    """The evidence with that of the analysers, the reports, and every finding."""
    assert evidence.commit is not None, "a review is of a commit"
    trial = await bench.trial(job)
    with told_as_failures(UNREADABLE):
        found = await look_at_change(trial, job.request.base, evidence.commit, diff)
    heard, counting = waive(found, job.started.policy.waivers, job.recorded.time)
    reviewed = evidence.model_copy(
        update={
            "review": by_hand(heard, evidence.commit),
            "reported": {**evidence.reported, **found.reported},
            "problems": (*evidence.problems, *found.problems),
        }
    )
    findings = findings_file(counting, tools=found.analysers, present=found.present, removed=removed(diff))
    return reviewed, {**report_files("review", found.reports), "findings.json": findings}


async def document(bench: Bench, job: Job) -> PhaseCompleted:
    """The agent writes the changelog entry and the pull request's text.

    Code it may not touch, nor what the policy protects: such a change is kept for people to read, and the
    candidate stays as it was.
    """
    done = await bench.ask_agent(job)
    quarantine = await bench.quarantine(job)
    written = await _diff(quarantine, job.request.commit, done.commit)
    problems = (
        *_beyond_documents(written, job.started.policy.protected),
        *await _configuration(quarantine, job.request.commit, done.commit, written),
    )
    kept = job.request.commit if problems else done.commit
    whole = await _diff(quarantine, job.request.base, kept)
    evidence = Evidence(
        commit=kept,
        diff=diff_evidence(whole, job.started.policy.protected),
        changelog_touched=any(is_changelog(file.path) for file in whole.files),
        documents=await _documents(bench, job, whole, kept),
        problems=problems,
    )
    refused = {"document-refused.patch": written.patch} if problems else {}
    return await completed(
        bench.shell,
        job,
        evidence=evidence,
        commit=kept,
        files={**done.files, **refused, "diff.patch": whole.patch},
        summary=_sizes(written),
        declined=done.report.declined,
        cost_usd=done.report.cost_usd,
    )


async def _documents(bench: Bench, job: Job, whole: Diff, commit: str) -> DocumentEvidence:
    with told_as_failures(UNREADABLE):
        quarantine = await bench.quarantine(job)
        return await look_at_documents(quarantine, bench.shell.settings.scratch, job.request.base, commit, whole)


def _beyond_documents(written: Diff, protected: tuple[str, ...]) -> tuple[Problem, ...]:
    """What the document phase changed and may not."""
    found = diff_evidence(written, protected)
    foreign = [file.path for file in written.files if not is_document(file.path)]
    named = list(dict.fromkeys((*foreign, *found.protected)))
    if not named and not found.refused:
        return ()
    said = [*([", ".join(named[:3])] if named else []), *found.refused[:3]]
    message = f"the document phase changed more than documents, so nothing of it is taken: {'; '.join(said)}"
    return (Problem(code="document_touched_code", message=message),)


async def _configuration(quarantine: Quarantine, before: str, after: str, written: Diff) -> tuple[Problem, ...]:
    """Settings and dependencies that pass for documents, such as requirements.txt and docs/conf.py."""
    with told_as_failures(UNREADABLE):
        found = await guard(quarantine, before, after, written, ())
    return tuple(problem for problem in found if problem.code in ("runner_changed", "dependencies_changed"))


async def _diff(quarantine: Quarantine, base: str, commit: str) -> Diff:
    with told_as_failures(UNREADABLE):
        return await quarantine.diff(base, commit)


PERFORM: Final[dict[Phase, Callable[[Bench, Job], Awaitable[PhaseCompleted]]]] = {
    Phase.BUILD: build,
    Phase.TEST: test,
    Phase.REVIEW: review,
    Phase.DOCUMENT: document,
}


def _sizes(diff: Diff) -> str:
    added = sum(file.lines_added or 0 for file in diff.files)
    removed = sum(file.lines_removed or 0 for file in diff.files)
    return f"{len(diff.files)} files changed, {added} lines added, {removed} removed"
