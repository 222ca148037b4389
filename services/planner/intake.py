"""Intake: an issue request from outside becomes one fact per revision, or is refused with a sentence.

What the run will need of the repository (branch, tip, policy) is read here once, from the base
commit, and stands in the fact; whether a run can begin on it is the gatekeeper's to say.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Iterable

from libs.contracts.facts import Fact, IssueClosed, IssueEdited, IssueOpened, Snapshot
from libs.contracts.history import Fence
from libs.contracts.operator import Operator, agents_of, tighten
from libs.contracts.requests import IssueRequest, issue_id, run_id, workflow_id
from libs.contracts.wire import Envelope, decode_issue_request
from libs.contracts.workflow import Policy, WorkflowRefused, default_policy, policy_digest
from libs.contracts.workflow.overrides import NOTHING_THERE, directories, named_files, prompt_files
from libs.contracts.workflow.reading import read_workflow
from libs.runtime.log import Conflict
from libs.runtime.shell import Delivery, Refused, Shell
from libs.runtime.telemetry import root_traceparent, span
from libs.workshop.git import GitError, Quarantine, Source, inspect
from libs.workshop.prompts import TemplateRefused, require_known_variables

OPERATOR_SOURCE = "cli"
"""The source that no tracker's key may speak for; only there may an agent be named."""
WORKFLOW_FILES = ("workflow.yaml", "workflow.yml")

logger = logging.getLogger("rung")


async def take_in(shell: Shell, delivery: Delivery) -> None:
    """State the fact that a request asks for, unless this revision of the issue is known already."""
    envelope, request = decode_issue_request(delivery.headers, delivery.data)
    source = delivery.tokens[-1]
    repository = await asyncio.to_thread(os.path.realpath, request.repository)
    if forbidden := shell.settings.operator.forbids_repository(repository):
        raise Refused(forbidden)
    issue = issue_id(source, repository, request.key)
    run = run_id(issue, request.revision)
    parent = envelope.traceparent or delivery.headers.get("traceparent") or root_traceparent(run)
    with span(f"{shell.service} intake", parent=parent, run=run):
        fact = await _fact(shell, envelope, request, issue=issue, tracker=source, repository=repository)
        if forbidden := _forbidden_agents(shell.settings.operator, fact):
            raise Refused(forbidden)
        try:
            await shell.log.append(fact, cause=envelope.id, fence=Fence(fact.subject, 0), traceparent=parent)
        except Conflict:
            logger.info("issue %s revision %s is known already", issue, request.revision, extra={"run": run})
        else:
            logger.info("accepted %s", fact.subject, extra={"run": run, "cause": envelope.id})


async def _fact(
    shell: Shell, envelope: Envelope, request: IssueRequest, *, issue: str, tracker: str, repository: str
) -> Fact:
    if request.action == "closed":
        return IssueClosed(issue=issue, revision=request.revision, request=envelope.id, reason="closed in its tracker")
    workflow = workflow_id(repository)
    stated = IssueOpened if request.action == "opened" else IssueEdited
    return stated(
        issue=issue,
        revision=request.revision,
        workflow=workflow,
        tracker=tracker,
        repository=repository,
        key=request.key,
        request=envelope.id,
        title=request.title,
        body=await shell.artifacts.put(request.body.encode()),
        issue_type=request.type,
        labels=request.labels,
        author=request.author,
        opened_by=request.opened_by,
        level=request.level,
        agent=request.agent if tracker == OPERATOR_SOURCE else None,
        snapshot=await take_snapshot(shell, workflow, repository, request.branch, request.labels),
    )


def _forbidden_agents(operator: Operator, fact: Fact) -> str | None:
    """Why nobody may work on the issue that a fact opens; `None` when those may who would."""
    if not isinstance(fact, IssueOpened) or fact.snapshot.problem is not None:
        return None
    return operator.forbids_agents(agents_of(fact.snapshot.policy, fact.agent))


async def take_snapshot(
    shell: Shell, workflow: str, repository: str, branch: str | None, labels: Iterable[str] = ()
) -> Snapshot:
    """The repository as it is now; what keeps a run from beginning stands in `problem`."""
    try:
        source = await inspect(repository, branch)
        place = shell.settings.repository(workflow)
        quarantine = await Quarantine.open(place, object_format=source.object_format)
        await quarantine.fetch(source, source.tip)
        return await snapshot_of(quarantine, source, shell.settings.operator, labels)
    except GitError as error:
        return _blocked(str(error))


async def snapshot_of(
    quarantine: Quarantine, source: Source, operator: Operator, labels: Iterable[str] = ()
) -> Snapshot:
    """What the base commit says, for an issue with these labels."""
    file = await _workflow_file(quarantine, source.tip)
    try:
        policy, warnings = await _policy(quarantine, source.tip, file)
    except WorkflowRefused as refused:
        return _blocked("; ".join(str(problem) for problem in refused.problems if not problem.is_warning))
    except TemplateRefused as refused:
        return _blocked(str(refused))
    teams = policy.teams_of(labels)
    if teams and policy.teams[teams[0]].lacks_files:
        return _blocked(f"{file}: teams.{teams[0]}: {policy.teams[teams[0]].override_dir} {NOTHING_THERE}")
    policy = tighten(_guarding_itself(policy, file), operator)
    return Snapshot(
        branch=source.branch,
        base=source.tip,
        policy=policy,
        policy_digest=policy_digest(policy),
        has_workflow=file is not None,
        warnings=(*warnings, *_of_several(teams)),
    )


def _guarding_itself(policy: Policy, file: str | None) -> Policy:
    """The policy under which no agent writes the file that the next snapshot would take for the workflow."""
    unguarded = (
        () if file == WORKFLOW_FILES[0] else tuple(name for name in WORKFLOW_FILES if name not in policy.protected)
    )
    return policy.model_copy(update={"protected": (*policy.protected, *unguarded)}) if unguarded else policy


def _of_several(teams: tuple[str, ...]) -> tuple[str, ...]:
    first, *rest = teams or ("",)
    return (f"The labels name several teams; {first} is taken, not {', '.join(rest)}.",) if rest else ()


async def _workflow_file(quarantine: Quarantine, commit: str) -> str | None:
    for name in WORKFLOW_FILES:
        if await quarantine.read_file(commit, name) is not None:
            return name
    return None


async def _policy(quarantine: Quarantine, commit: str, file: str | None) -> tuple[Policy, tuple[str, ...]]:
    """The policy of the base commit with the files that it names; the default one without a workflow."""
    if file is None:
        return default_policy(), ()
    text = await quarantine.read_file(commit, file) or b""
    policy, _ = read_workflow(text, file)
    texts = await _named(quarantine, commit, policy)
    policy, warnings = read_workflow(text, file, texts)
    for path in prompt_files(policy):
        require_known_variables(texts.get(path, b"").decode("utf-8", "replace"), path)
    prompts = {path: hashlib.sha256(texts[path]).hexdigest() for path in sorted(prompt_files(policy)) if path in texts}
    policy = policy.model_copy(update={"prompts": prompts})
    return policy, tuple(str(warning) for warning in warnings)


async def _named(quarantine: Quarantine, commit: str, policy: Policy) -> dict[str, bytes]:
    """The files that a workflow names, as far as the commit has them."""
    listing = await quarantine.list_files(commit) if directories(policy) else ()
    texts = {path: await quarantine.read_file(commit, path) for path in named_files(policy, listing)}
    return {path: text for path, text in texts.items() if text is not None}


def _blocked(problem: str) -> Snapshot:
    policy = default_policy()
    return Snapshot(policy=policy, policy_digest=policy_digest(policy), problem=problem)
