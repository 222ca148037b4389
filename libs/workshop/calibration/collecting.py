"""The evidence on a candidate for each gate that needs no agent, collected as for a run.

The commit that would land on the candidate's own base has the very tree that was tested, so for the gate
of deploy the tests are not run again; what only a comparison with the base says, that gate never hears.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from libs.contracts.evidence import Evidence, IntegrationEvidence
from libs.contracts.words import Phase
from libs.contracts.workflow import AllOf, AnyOf, CommandPolicy, Policy, Rule
from libs.workshop.calibration.candidates import Candidate
from libs.workshop.change import diff_evidence
from libs.workshop.compared import Change, compared_tests
from libs.workshop.evidence.collect import TestRun
from libs.workshop.evidence.review import Review, new_since
from libs.workshop.evidence.waivers import waive
from libs.workshop.git import Diff
from libs.workshop.guards.judging import guard
from libs.workshop.mutation import with_mutants
from libs.workshop.trial import Trial

JUDGED: Final = (Phase.BUILD, Phase.TEST, Phase.REVIEW, Phase.DEPLOY)
UNASKED: Final = frozenset({"plan_adherence", "pr_created", "all_commits_signed", "ci_pipeline_pass"})
"""Criteria about a plan, a proposal, or a forge, which a commit of the past has not or no more."""
TESTED: Final = frozenset({"tests", "coverage", "mutation"})
BY_COMPARISON: Final = frozenset(
    {"test_removed", "test_skipped", "base_test_broken", "fix_unproven", "base_unmeasured"}
)


@dataclass(frozen=True)
class _Found:
    """All that was measured on one candidate."""

    plain: Evidence
    tests: TestRun
    tested: Evidence
    review: Review


def asked(policy: Policy) -> tuple[Policy, tuple[str, ...]]:
    """The policy without criteria that nothing can answer here, and which those are."""
    left: set[str] = set()
    gates = {}
    for phase, gate in policy.gates.items():
        criteria = _asked(gate.criteria, left) if phase in JUDGED else gate.criteria
        gates[phase] = gate.model_copy(update={"criteria": criteria})
    return policy.model_copy(update={"gates": gates}), tuple(sorted(left))


def _asked(rules: Iterable[Rule], left: set[str]) -> tuple[Rule, ...]:
    kept: list[Rule] = []
    for rule in rules:
        match rule:
            case AnyOf():
                inner = _asked(rule.any_of, left)
                kept += [rule.model_copy(update={"any_of": inner})] if inner else []
            case AllOf():
                inner = _asked(rule.all_of, left)
                kept += [rule.model_copy(update={"all_of": inner})] if inner else []
            case _ if rule.name in UNASKED:
                left.add(rule.name)
            case _:
                kept.append(rule)
    return tuple(kept)


async def collect(trial: Trial, candidate: Candidate, diff: Diff, baselines: Path) -> dict[Phase, Evidence]:
    """Measure a candidate once, and tell each gate what it is told of a run's.

    Raises: GitError, OSError, SandboxUnavailable, WorkFailed.
    """
    plain = Evidence(commit=candidate.commit, diff=diff_evidence(diff, trial.policy.protected))
    change = Change(candidate.base, candidate.commit, diff.changed_lines, kind=candidate.issue_type)
    tests = await compared_tests(trial, change, baselines)
    tested = await with_mutants(trial, _with_tests(plain, tests), diff.changed_lines)
    found = _Found(plain, tests, tested, await look_at_change(trial, candidate.base, candidate.commit, diff))
    return {
        Phase.BUILD: await _build(trial, candidate, diff, found),
        Phase.TEST: tested,
        Phase.REVIEW: _with_review(plain, found.review, trial.policy),
        Phase.DEPLOY: await _deploy(trial, candidate, found),
    }


async def _build(trial: Trial, candidate: Candidate, diff: Diff, found: _Found) -> Evidence:
    commands = (*trial.policy.commands.test, *trial.policy.commands.lint)
    problems = await guard(trial.quarantine, candidate.base, candidate.commit, diff, commands)
    evidence = found.plain
    wanted = trial.policy.reads(Phase.BUILD)
    if wanted & TESTED:
        evidence = found.tested
    if "review" in wanted:
        evidence = _with_review(evidence, found.review, trial.policy)
    return evidence.model_copy(update={"problems": (*problems, *evidence.problems)})


async def _deploy(trial: Trial, candidate: Candidate, found: _Found) -> Evidence:
    tree = await trial.quarantine.tree_of(candidate.commit)
    patch_id = await trial.quarantine.patch_id(candidate.base, candidate.commit)
    integration = IntegrationEvidence(base=candidate.base, commit=candidate.commit, tree=tree, patch_id=patch_id)
    own = replace(found.tests, problems=tuple(one for one in found.tests.problems if one.code not in BY_COMPARISON))
    return _with_tests(found.plain, own).model_copy(update={"tree": tree, "integration": integration})


def _with_tests(evidence: Evidence, found: TestRun) -> Evidence:
    return evidence.model_copy(
        update={
            "tests": found.tests,
            "coverage": found.coverage,
            "reported": {**evidence.reported, **found.reported},
            "problems": (*evidence.problems, *found.problems),
        }
    )


def _with_review(evidence: Evidence, found: Review, policy: Policy) -> Evidence:
    heard, _ = waive(found, policy.waivers, time.time())
    return evidence.model_copy(
        update={
            "review": heard,
            "reported": {**evidence.reported, **found.reported},
            "problems": (*evidence.problems, *found.problems),
        }
    )


async def look_at_change(trial: Trial, base: str, commit: str, diff: Diff) -> Review:
    """What the analysers say of a commit; where they find anything, Rung's own are asked about its base too."""
    changed: Mapping[str, frozenset[int]] = {
        file.path: frozenset[int]() for file in diff.files if file.status != "D"
    } | dict(diff.changed_lines)
    found = await trial.review(commit, changed)
    if not found.findings:
        return found
    own = replace(trial, policy=trial.policy.model_copy(update={"commands": CommandPolicy()}))
    return new_since(await own.review(base, dict.fromkeys(changed, frozenset())), found)
