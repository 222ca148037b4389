"""The gates that are tried: those of the repository's own workflow, as its newest commit has it."""

from typing import Final

from libs.contracts.workflow import Policy, default_policy
from libs.contracts.workflow.overrides import directories, named_files
from libs.contracts.workflow.reading import read_workflow
from libs.workshop.git import Quarantine

WORKFLOW_FILES: Final = ("workflow.yaml", "workflow.yml")


async def policy_of(quarantine: Quarantine, commit: str) -> Policy:
    """The policy of a commit with the files that it names; the default one without a workflow.

    Raises: WorkflowRefused, GitError.
    """
    for name in WORKFLOW_FILES:
        if (text := await quarantine.read_file(commit, name)) is not None:
            policy, _ = read_workflow(text, name)
            policy, _ = read_workflow(text, name, await _named(quarantine, commit, policy))
            return policy
    return default_policy()


async def _named(quarantine: Quarantine, commit: str, policy: Policy) -> dict[str, bytes]:
    listing = await quarantine.list_files(commit) if directories(policy) else ()
    texts = {path: await quarantine.read_file(commit, path) for path in named_files(policy, listing)}
    return {path: text for path, text in texts.items() if text is not None}
