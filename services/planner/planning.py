"""Intent and plan: an agent reads the repository, and Rung reads what its words name.

An intent is read as a plan is: its gate asks whether it is empty and whether it speaks of the issue.
"""

from libs.contracts.evidence import Evidence, PlanEvidence
from libs.contracts.facts import PhaseCompleted
from libs.contracts.words import Phase
from libs.runtime.inputs import read_inputs, variables
from libs.runtime.shell import Shell
from libs.runtime.work import Job, completed
from libs.workshop.attempt import attempt
from libs.workshop.evidence.plan import read_plan
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Quarantine
from libs.workshop.sandbox import Sandbox


async def plan(shell: Shell, sandbox: Sandbox, job: Job) -> PhaseCompleted:
    """Ask the agent for a plan or an intent, and collect what it names of the repository and of the issue."""
    with told_as_failures("repository_unreadable"):
        quarantine = await Quarantine.open(shell.settings.repository(job.started.workflow))
        known = await quarantine.list_files(job.request.base)
    files = await read_inputs(shell, job)
    done = await attempt(
        job.started,
        job.request,
        files=files,
        variables=variables(job, files),
        sandbox=sandbox,
        quarantine=quarantine,
        scratch=shell.settings.scratch,
        on_output=shell.teller(job.run, job.request.phase),
    )
    named = read_plan(
        done.report.text,
        files=known,
        issue_title=job.started.title,
        issue_body=files["issue.md"].decode("utf-8", "replace"),
    )
    targets = () if job.request.phase is Phase.INTENT else tuple((done.report.plan or {}).get("targets", ()))
    return await completed(
        shell,
        job,
        evidence=Evidence(commit=job.request.commit, plan=named),
        files=done.files,
        summary=_summary(job.request.phase, named, targets),
        declined=done.report.declined,
        targets=targets,
        cost_usd=done.report.cost_usd,
    )


def _summary(phase: Phase, named: PlanEvidence, targets: tuple[str, ...]) -> str:
    if phase is Phase.INTENT:
        return f"speaks of {len(named.issue_terms)} of the issue's words"
    return f"{len(named.files_named)} files named, {len(targets)} tests to repair"
