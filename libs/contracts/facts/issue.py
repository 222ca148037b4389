"""Issues: what the planner states."""

from libs.contracts.facts.base import IssueFact
from libs.contracts.words import Digest, Frozen, Level, ObjectId, Token
from libs.contracts.workflow import Policy


class Snapshot(Frozen):
    """The repository as it was when the issue came in; the policy is the base commit's.

    `problem` is one sentence when no run can begin: no repository, no commit, a refused workflow.
    """

    branch: str = ""
    base: ObjectId | None = None
    policy: Policy
    policy_digest: Digest
    has_workflow: bool = False
    warnings: tuple[str, ...] = ()
    problem: str | None = None


class IssueOpened(IssueFact):
    """A revision of an issue was accepted; its body is the artifact `body`."""

    type = "issue.opened"
    version = 2
    workflow: Token
    tracker: str
    repository: str
    key: str
    request: str
    title: str
    body: Digest
    issue_type: str
    labels: tuple[str, ...] = ()
    author: str | None = None
    opened_by: str | None = None
    level: Level | None = None
    agent: str | None = None
    snapshot: Snapshot


class IssueEdited(IssueOpened):
    """A later revision of an issue that is known; it becomes a run of its own."""

    type = "issue.edited"
    version = 2


class IssueClosed(IssueFact):
    type = "issue.closed"
    request: str
    reason: str
