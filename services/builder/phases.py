"""The builder's four phases: agents change and document; tests and review are run by Rung itself.

The agent's word is never evidence: what it left is taken as a commit and measured.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from libs.contracts.evidence import Evidence, Problem
from libs.contracts.facts import PhaseCompleted
from libs.contracts.words import Phase
from libs.runtime.inputs import read_inputs, variables
from libs.runtime.reports import report_of_review, report_of_tests
from libs.runtime.shell import Shell
from libs.runtime.work import Job, completed
from libs.workshop.attempt import Attempted, attempt
from libs.workshop.change import diff_evidence, is_document
from libs.workshop.evidence.paths import is_changelog
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Diff, Quarantine
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial, report_files

UNREADABLE: Final = "change_unreadable"


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
    """The agent changes the code; the evidence is the change itself."""
    done = await bench.ask_agent(job)
    diff = await _diff(await bench.quarantine(job), job.request.base, done.commit)
    evidence = Evidence(commit=done.commit, diff=diff_evidence(diff, job.started.policy.protected))
    return await completed(
        bench.shell,
        job,
        evidence=evidence,
        commit=done.commit,
        files={**done.files, "diff.patch": diff.patch},
        summary=_sizes(diff),
        declined=done.report.declined,
        cost_usd=done.report.cost_usd,
    )


async def test(bench: Bench, job: Job) -> PhaseCompleted:
    """Rung runs the repository's tests on the candidate and reads the reports."""
    trial = await bench.trial(job)
    diff = await _diff(trial.quarantine, job.request.base, job.request.commit)
    with told_as_failures(UNREADABLE):
        found = await trial.tests(job.request.commit, diff.changed_lines, job.request.targets)
    evidence = Evidence(commit=job.request.commit, tests=found.tests, coverage=found.coverage, problems=found.problems)
    passed = f"{found.tests.passed} of {found.tests.total} tests passed" if found.tests else "no tests could be read"
    files = {**report_files("test", found.reports), "test.md": report_of_tests(evidence).encode()}
    return await completed(bench.shell, job, evidence=evidence, files=files, summary=passed)


async def review(bench: Bench, job: Job) -> PhaseCompleted:
    """Rung runs the analysers on the candidate; only findings on changed lines count."""
    trial = await bench.trial(job)
    diff = await _diff(trial.quarantine, job.request.base, job.request.commit)
    with told_as_failures(UNREADABLE):
        found = await trial.review(job.request.commit, diff.changed_lines)
    evidence = Evidence(commit=job.request.commit, review=found.evidence, problems=found.problems)
    counted = len(found.evidence.findings) if found.evidence else 0
    files = {**report_files("review", found.reports), "review.md": report_of_review(evidence).encode()}
    return await completed(bench.shell, job, evidence=evidence, files=files, summary=f"{counted} findings")


async def document(bench: Bench, job: Job) -> PhaseCompleted:
    """The agent writes the changelog entry and the pull request's text.

    Code it may not touch, nor what the policy protects: such a change is kept for people to read, and the
    candidate stays as it was.
    """
    done = await bench.ask_agent(job)
    quarantine = await bench.quarantine(job)
    written = await _diff(quarantine, job.request.commit, done.commit)
    problems = _beyond_documents(written, job.started.policy.protected)
    kept = job.request.commit if problems else done.commit
    whole = await _diff(quarantine, job.request.base, kept)
    evidence = Evidence(
        commit=kept,
        diff=diff_evidence(whole, job.started.policy.protected),
        changelog_touched=any(is_changelog(file.path) for file in whole.files),
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
