"""The builder's four phases: agents change and document; tests and review are run by Rung itself.

The agent's word is never evidence: what it left is taken as a commit and measured.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from libs.contracts.evidence import DocumentEvidence, Evidence, Problem
from libs.contracts.facts import PhaseCompleted
from libs.contracts.words import Phase
from libs.runtime.inputs import read_inputs, variables
from libs.runtime.reports import report_of_review, report_of_tests
from libs.runtime.shell import Shell
from libs.runtime.work import Job, completed
from libs.workshop.attempt import Attempted, attempt
from libs.workshop.change import diff_evidence, is_document
from libs.workshop.compared import BASELINES, Change, compared_tests
from libs.workshop.evidence.findings import findings_file
from libs.workshop.evidence.guards import guard
from libs.workshop.evidence.paths import is_changelog
from libs.workshop.evidence.waivers import waive
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Diff, Quarantine
from libs.workshop.mutation import with_mutants
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial, report_files
from services.builder.looking import by_hand, look_at_change, look_at_documents, removed, strayed_from_plan

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
    policy, quarantine = job.started.policy, await bench.quarantine(job)
    diff = await _diff(quarantine, job.request.base, done.commit)
    with told_as_failures(UNREADABLE):
        commands = (*policy.commands.test, *policy.commands.lint)
        problems = await guard(quarantine, job.request.base, done.commit, diff, commands)
    evidence = Evidence(commit=done.commit, diff=diff_evidence(diff, policy.protected), problems=problems)
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
    """Rung runs the repository's tests on the candidate, beside those of its base, and reads the reports."""
    trial = await bench.trial(job)
    diff = await _diff(trial.quarantine, job.request.base, job.request.commit)
    with told_as_failures(UNREADABLE):
        request = job.request
        kind = job.started.issue_type
        change = Change(request.base, request.commit, diff.changed_lines, request.targets, kind)
        found = await compared_tests(trial, change, bench.shell.settings.state / BASELINES)
    evidence = Evidence(commit=job.request.commit, tests=found.tests, coverage=found.coverage, problems=found.problems)
    evidence = await with_mutants(trial, evidence, diff.changed_lines)
    passed = f"{found.tests.passed} of {found.tests.total} tests passed" if found.tests else "no tests could be read"
    files = {**report_files("test", found.reports), "test.md": report_of_tests(evidence).encode()}
    return await completed(bench.shell, job, evidence=evidence, files=files, summary=passed)


async def review(bench: Bench, job: Job) -> PhaseCompleted:
    """Rung runs the analysers on the candidate; only findings on changed lines that nobody waived count."""
    trial = await bench.trial(job)
    diff = await _diff(trial.quarantine, job.request.base, job.request.commit)
    with told_as_failures(UNREADABLE):
        found = await look_at_change(trial, job.request.base, job.request.commit, diff)
    heard, counting = waive(found, job.started.policy.waivers, job.recorded.time)
    evidence = Evidence(
        commit=job.request.commit,
        review=by_hand(heard, job.request.commit),
        strayed=await strayed_from_plan(bench.shell, job, diff),
        reported=found.reported,
        problems=found.problems,
    )
    files = {
        **report_files("review", found.reports),
        "review.md": report_of_review(evidence).encode(),
        "findings.json": findings_file(counting, tools=found.analysers, present=found.present, removed=removed(diff)),
    }
    return await completed(bench.shell, job, evidence=evidence, files=files, summary=f"{len(counting)} findings")


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
