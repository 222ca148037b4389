"""Intent and plan: an agent reads the repository, and Rung reads what its words name."""

from libs.contracts.evidence import Evidence
from libs.contracts.facts import PhaseCompleted
from libs.runtime.inputs import read_inputs, variables
from libs.runtime.shell import Shell
from libs.runtime.work import Job, completed
from libs.workshop.attempt import attempt
from libs.workshop.evidence.plan import read_plan
from libs.workshop.git import Quarantine
from libs.workshop.sandbox import Sandbox


async def plan(shell: Shell, sandbox: Sandbox, job: Job) -> PhaseCompleted:
    """Ask the agent for a plan and collect what it names of the repository and of the issue."""
    quarantine = await Quarantine.open(shell.settings.repository(job.started.workflow))
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
        files=await quarantine.list_files(job.request.base),
        issue_title=job.started.title,
        issue_body=files["issue.md"].decode("utf-8", "replace"),
    )
    targets = tuple((done.report.plan or {}).get("targets", ()))
    return await completed(
        shell,
        job,
        evidence=Evidence(commit=job.request.commit, plan=named),
        files=done.files,
        summary=f"{len(named.files_named)} files named, {len(targets)} tests to repair",
        declined=done.report.declined,
        targets=targets,
    )
