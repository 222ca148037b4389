"""The operator's file: who decides, and what no workflow and no tracker may widen.

Theory: a workflow belongs to its repository, this file to whoever runs the system. What it says is
added to every policy at intake, so that it stands in the log, and an issue that it does not allow
never becomes a run.
"""

import posixpath
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import yaml
from pydantic import ValidationError, field_validator, model_validator

from libs.contracts.globs import is_match
from libs.contracts.people import People
from libs.contracts.requests import explain
from libs.contracts.words import AGENTS_WORK
from libs.contracts.workflow import (
    AGENT_DRIVERS,
    DEFAULT_AGENT,
    CapPolicy,
    Policy,
    QuorumPolicy,
    WorkflowRefused,
)
from libs.contracts.workflow.reading import read_workflow

FILE_MAX: Final = 256 * 1024
AS_IN_WORKFLOWS: Final = ("quorum", "caps")
"""Keys that are written and read as in a workflow."""
ANY_WORDS: Final = "*"


class OperatorFileRefused(ValueError):
    """The operator's file cannot be used; one sentence says why."""


class Operator(People):
    """The whole file: `repositories` and `agents` are what is allowed, `None` for any.

    `promotion` says whether the machine may grant by itself what is earned, and proven where a proof is asked for.
    """

    quorum: tuple[QuorumPolicy, ...] = ()
    caps: tuple[CapPolicy, ...] = ()
    promotion: Literal["ask", "auto"] = "ask"
    repositories: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None

    @field_validator("repositories")
    @classmethod
    def _absolute(cls, globs: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for glob in globs or ():
            if not glob.startswith("/") or posixpath.normpath(glob) != glob.rstrip("/"):
                raise ValueError(f"{glob!r} is no whole path from / on, such as /srv/git/**")
        return globs

    @field_validator("agents")
    @classmethod
    def _known(cls, agents: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for agent in agents or ():
            kind, _, command = agent.strip().partition(":")
            if kind not in AGENT_DRIVERS:
                raise ValueError(f"{agent!r} is no agent" + _meant(kind, AGENT_DRIVERS))
            if _words(command) is None:
                raise ValueError(f"the command of {agent!r} is not well quoted")
        return agents

    @model_validator(mode="after")
    def _enough(self) -> "Operator":
        """What nobody could ever agree on is found now, not at the first merge."""
        most = max((quorum.people for quorum in self.quorum), default=0)
        if self.people and most > len(self.deciders):
            raise ValueError(f"a quorum asks for {most} people, and {len(self.deciders)} of this file may decide")
        return self

    def forbids_repository(self, repository: str) -> str | None:
        """Why no issue is taken for a repository; `None` when the file allows it. The path is the real one."""
        if self.repositories is None or any(is_match(repository, glob) for glob in self.repositories):
            return None
        return f"the operator allows no runs on {repository}; allowed are {_listed(self.repositories)}"

    def forbids_agents(self, agents: Iterable[str]) -> str | None:
        """Why an issue is not taken for the agents that would work on it."""
        for agent in agents:
            if self.agents is not None and not any(is_allowed(agent, allowed) for allowed in self.agents):
                return f"the operator does not allow the agent {agent}; allowed are {_listed(self.agents)}"
        return None


NO_FILE: Final = Operator()


def read_operator(text: str) -> Operator:
    """The operator's file.

    Raises:  OperatorFileRefused with one sentence that names each field.
    """
    if len(text) > FILE_MAX:
        raise OperatorFileRefused(f"it is larger than {FILE_MAX // 1024} KiB")
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise OperatorFileRefused(f"it is no YAML: {' '.join(str(error).split())}") from error
    try:
        return Operator.model_validate({} if tree is None else _read_as_workflow(tree))
    except ValidationError as error:
        raise OperatorFileRefused(explain(error, Operator)) from error


def _read_as_workflow(tree: Any) -> Any:
    """The tree with the keys that workflows have too read as there."""
    if not isinstance(tree, dict):
        return tree
    shared = {key: tree[key] for key in AS_IN_WORKFLOWS if key in tree}
    if not shared:
        return tree
    try:
        policy, _ = read_workflow(yaml.safe_dump(shared))
    except WorkflowRefused as refused:
        wrong = "; ".join(f"{one.field}: {one.message}" for one in refused.problems if not one.is_warning)
        raise OperatorFileRefused(wrong) from refused
    return {**tree, **{key: getattr(policy, key) for key in shared}}


def tighten(policy: Policy, operator: Operator) -> Policy:
    """The policy with what the operator asks for beside it; its digest follows from the result."""
    if not operator.quorum and not operator.caps:
        return policy
    added = {"quorum": (*policy.quorum, *operator.quorum), "caps": (*policy.caps, *operator.caps)}
    return policy.model_copy(update=added)


def agents_of(policy: Policy, named: str | None) -> tuple[str, ...]:
    """Who would work under a policy: whom the operator named for the issue, else whom the policy names."""
    if named is not None:
        return (named,)
    return tuple(
        dict.fromkeys(policy.agent_for(phase) or DEFAULT_AGENT for phase in AGENTS_WORK if phase in policy.phases)
    )


def is_allowed(agent: str, allowed: str) -> bool:
    """Whether an agent is meant by one entry of the list: a kind alone, or a command word by word.

    The program is compared as a path; a last word `*` stands for any further words.
    """
    kind, _, command = agent.strip().partition(":")
    allowed_kind, colon, pattern = allowed.strip().partition(":")
    said, meant = _words(command), _words(pattern)
    if kind != allowed_kind or said is None or meant is None:
        return False
    if not colon:
        return True
    if meant and meant[-1] == ANY_WORDS and len(meant) > 1:
        meant = meant[:-1]
        said = said[: len(meant)]
    return len(said) == len(meant) and all(map(_is_word, range(len(said)), said, meant))


def _is_word(place: int, word: str, pattern: str) -> bool:
    is_path = place == 0 and "/" in word
    return is_match(posixpath.normpath(word), pattern) if is_path else fnmatchcase(word, pattern)


def _words(command: str) -> list[str] | None:
    try:
        return shlex.split(command)
    except ValueError:
        return None


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


def _meant(word: str, known: Iterable[str]) -> str:
    names = tuple(known)
    near = get_close_matches(word, names, n=1)
    return f", did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"
