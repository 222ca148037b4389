"""Reads a workflow's text: a complete policy and warnings, or every problem that refuses it.

A text that is a gate file (it has `criteria` at the top) is read too: its gate stands in the
default policy. Files that a workflow names are given by the caller, who may do I/O: a first reading
without them tells which they are.
"""

from functools import partial
from typing import Final

from libs.contracts.criteria import CRITERIA
from libs.contracts.words import Level, Phase
from libs.contracts.workflow import (
    AGENT_DRIVERS,
    Policy,
    default_phases,
    default_policy,
)
from libs.contracts.workflow import overrides as override
from libs.contracts.workflow import sections as section
from libs.contracts.workflow.advice import advise
from libs.contracts.workflow.gates import GatePart, gate_document, gates_of, is_gate
from libs.contracts.workflow.gathering import Text, Texts, gather
from libs.contracts.workflow.metrics import read_metrics
from libs.contracts.workflow.nodes import Findings, Misfit, Place, Table, Unreadable, documents
from libs.contracts.workflow.parts import (
    OnRegression,
    PhasePolicy,
    WorkflowProblem,
    WorkflowRefused,
)
from libs.contracts.workflow.values import NO_TEXTS, agent, choice, each, text

_NO_PARTS: Final[tuple[GatePart, ...]] = ()
_NOT_WRITTEN: Final = ("gate_files", "considered_after_s", "prompts")
"""Fields of a policy that are no keys of a workflow: they come from its files, or from within another key."""
KEYS: Final = (*(name for name in Policy.model_fields if name not in _NOT_WRITTEN), "deploy")
"""The keys of a workflow."""


def read_workflow(
    content: Text, file: str = "workflow.yaml", texts: Texts = None
) -> tuple[Policy, tuple[WorkflowProblem, ...]]:
    """The policy of a workflow, and warnings about it in the order of lines.

    `texts` holds the files that the workflow names, by path (`named_files` says which): a gate file
    that is not among them refuses the workflow. `None` leaves all of them out, with a warning each.

    Raises:
        WorkflowRefused: with everything that was found, errors and warnings.
    """
    findings = Findings(file)
    policy = _read(content, findings, texts)
    if findings.has_errors:
        raise WorkflowRefused(findings.in_order())
    return policy, findings.in_order()


def _read(content: Text, findings: Findings, texts: Texts) -> Policy:
    roots = _roots(content, findings)
    if not roots:
        return default_policy()
    if is_gate(roots[0]):
        parts = [part for root in roots for part in root.read(partial(gate_document, NO_TEXTS, None), _NO_PARTS)]
        return Policy(gates=gates_of(parts))
    for extra in roots[1:]:
        extra.refuse("a second document begins here; a workflow is one document")
    return roots[0].read(partial(_policy, texts), default_policy())


def _roots(content: Text, findings: Findings) -> list[Place]:
    try:
        nodes = documents(content)
    except Unreadable as error:
        findings.add(error.line, "", str(error))
        return []
    return [Place(node, node.start_mark.line + 1, "", findings) for node in nodes]


def _policy(texts: Texts, root: Place) -> Policy:
    table = Table(root, KEYS)
    read = table.read
    base = default_policy()
    autonomy = read("autonomy", choice(Level), base.autonomy)
    reported = read("reported", _reported, base.reported)
    loops = {**base.loops, **read("loops", partial(section.loops, base.loops), base.loops)}
    metrics = read("metrics", read_metrics, base.metrics)
    gates = gather(table, reported, texts)
    earning = read("readiness", section.readiness, section.Earning(base.readiness, base.considered_after_s))
    read("deploy", _deploy, default=None)
    phases = read("phases", _phases, base.phases)
    teams = read("teams", partial(override.teams, reported, texts), base.teams)
    protected = read("protected", section.protected, base.protected)
    policy = Policy(
        autonomy=autonomy,
        agent=table.optional("agent", agent(AGENT_DRIVERS)),
        phases=phases,
        gates=gates_of(gates.parts),
        gate_files=tuple(gates.references),
        reported=reported,
        loops=loops,
        escalation=read("escalation", section.escalation, base.escalation),
        checkpoints=read("checkpoints", partial(section.checkpoints, autonomy), base.checkpoints),
        auto_merge=section.auto_merge(root),
        monitor=read("monitor", partial(section.monitor, metrics), base.monitor),
        routing=read("routing", partial(section.routing, loops), section.default_routing(loops)),
        teams=teams,
        commands=read("commands", section.commands, base.commands),
        reports=read("reports", section.reports, base.reports),
        protected=(*protected, *override.unprotected(protected, phases, gates.references, teams)),
        caps=read("caps", section.caps, base.caps),
        readiness=earning.limits,
        considered_after_s=earning.considered_after_s,
        budget=read("budget", section.budget, base.budget),
        quorum=read("quorum", section.quorum, base.quorum),
        on_regression=read("on_regression", choice(OnRegression), base.on_regression),
        watch=table.optional("watch", section.watch),
        metrics=metrics,
        waivers=read("waivers", section.waivers, base.waivers),
    )
    if not root.findings.has_errors:
        advise(policy, root)
        override.warn_of_missing_templates(policy, texts, root)
    return policy


def _phases(place: Place) -> dict[Phase, PhasePolicy]:
    """All phases in order; intent only if the workflow names it."""
    table = Table(place, tuple(Phase))
    stated = {
        phase: table.read(phase, partial(section.phase_policy, phase), PhasePolicy())
        for phase in Phase
        if phase in table.entries
    }
    known = {**default_phases(), **stated}
    return {phase: known[phase] for phase in Phase if phase in known}


def _reported(place: Place) -> tuple[str, ...]:
    return each(_reported_name)(place)


def _reported_name(place: Place) -> str:
    name = text(place)
    if name in CRITERIA:
        raise Misfit("is a criterion already; a report of your own needs a name of its own")
    if not name.isidentifier():
        raise Misfit(f"must be a name of letters, digits and underscores, not {name!r}")
    return name


def _deploy(place: Place) -> None:
    Table(place, ("auto_merge",))
