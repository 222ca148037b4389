"""What an agent may do and spend in one attempt, by its workflow and its run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from libs.contracts.facts import PhaseRequested
from libs.contracts.words import Phase
from libs.contracts.workflow import TOOLS, PhasePolicy, Policy, Tool

WRITERS: Final = (Phase.BUILD, Phase.DOCUMENT)
"""Phases whose changes become the candidate, as far as the workflow's tools let them write."""


@dataclass(frozen=True)
class Allowance:
    """What the workflow lets an agent do, and what the attempt may cost; `None` bounds nothing.

    The sandbox itself keeps an agent from writing. Not to execute, or only what is on the list, is told to it.
    """

    tools: frozenset[Tool] = frozenset(Tool)
    execute_allowlist: tuple[str, ...] = ()
    deny_reasons: Mapping[Tool, str] = field(default_factory=dict)
    cost_limit_usd: float | None = None

    @property
    def words(self) -> str:
        """The tools as words with commas, in one order."""
        return ",".join(tool for tool in Tool if tool in self.tools)

    @property
    def cost_limit(self) -> str:
        """The limit as a plain decimal number; empty where there is none."""
        if self.cost_limit_usd is None:
            return ""
        whole, _, cents = f"{self.cost_limit_usd:.6f}".partition(".")
        return f"{whole}.{cents}".rstrip("0").rstrip(".")


EVERYTHING: Final = Allowance()


def allowance_of(policy: Policy, request: PhaseRequested) -> Allowance:
    """What the attempt may do and cost; `write` is told only where the clone can really be written."""
    own = policy.phases.get(request.phase, PhasePolicy())
    tools = _tools(policy, request.phase)
    return Allowance(
        tools=tools if may_write(policy, request.phase) else tools - {Tool.WRITE},
        execute_allowlist=own.execute_allowlist if Tool.EXECUTE in tools else (),
        deny_reasons=own.deny_reasons,
        cost_limit_usd=request.cost_limit_usd,
    )


def may_write(policy: Policy, phase: Phase) -> bool:
    """Whether the phase's clone can be written: only where its work is a change and its tools hold `write`."""
    return phase in WRITERS and Tool.WRITE in _tools(policy, phase)


def _tools(policy: Policy, phase: Phase) -> frozenset[Tool]:
    return policy.phases[phase].tools if phase in policy.phases else TOOLS[phase] - {Tool.WRITE}
