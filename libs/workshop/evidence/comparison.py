"""Compares runs of a suite on a change and on its base: what is gone, newly skipped, weakened, or proves nothing.

Theory: the number of passed tests says little of a change that may edit the tests. So every test is
compared with itself, by its name: as the base has it on the base's code, as the base has it on the
change's code, as the change has it on both. A name that is gone counts as removed whatever stands
in its place; whether that was right is for people to say.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from libs.contracts.evidence import FAILURES_KEPT, CoverageEvidence, Problem, TestCase, TestEvidence, TestOutcome
from libs.workshop.evidence.collect import TestRun, report_id
from libs.workshop.evidence.reading import plain

FAILING: Final = frozenset({TestOutcome.FAILED, TestOutcome.ERROR})
NAMED: Final = 3
MEASURED_STILL: Final = frozenset({"collection_failed", "no_tests", "coverage_missing"})
"""Problems of a run that leave something to compare with: these modules fail, or there are no tests."""
_ORDER: Final = (TestOutcome.ERROR, TestOutcome.FAILED, TestOutcome.PASSED, TestOutcome.SKIPPED)


@dataclass(frozen=True)
class Outcomes:
    """Every test of a run by its name in reports.

    `names` are the tests that were chosen to run, `broken` the modules that could not be collected.
    `is_watched` says that the runner told which it chose; otherwise only what was reported is known. `flaky`
    failed first and passed when run again; they stand as passed here. `unmeasured` is why nothing can be said.
    """

    by_name: Mapping[str, TestOutcome] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    flaky: frozenset[str] = frozenset()
    is_watched: bool = False
    is_all_broken: bool = False
    unmeasured: str | None = None
    coverage: tuple[int, int] | None = None

    @classmethod
    def of(cls, run: TestRun, flaky: Iterable[str] = ()) -> Self:
        healed = frozenset(flaky)
        broken = frozenset(case.name for case in run.cases if _is_collection_error(case))
        by_name = {
            name: TestOutcome.PASSED if name in healed else outcome
            for name, outcome in outcomes(run.cases).items()
            if name not in broken
        }
        codes = {problem.code for problem in run.problems}
        reasons = [problem.message for problem in run.problems if problem.code not in MEASURED_STILL]
        covered = run.coverage
        return cls(
            by_name=by_name,
            names=frozenset(run.collected) if run.collected is not None else frozenset(by_name),
            broken=broken,
            flaky=healed,
            is_watched=run.collected is not None,
            is_all_broken="collection_failed" in codes and not run.cases,
            unmeasured=reasons[0] if reasons else None,
            coverage=(covered.covered_count, covered.lines_count) if covered is not None else None,
        )

    @property
    def is_empty(self) -> bool:
        return not self.names and not self.broken and not self.is_all_broken

    def is_failing(self, name: str) -> bool:
        """Whether the test fails, or stands in a module that cannot be collected."""
        return self.is_all_broken or self.by_name.get(name) in FAILING or self.is_in_broken(name)

    def is_in_broken(self, name: str) -> bool:
        return any(name.startswith((f"{module}::", f"{module}.")) for module in self.broken)

    def has_passed(self, name: str) -> bool:
        return self.by_name.get(name) is TestOutcome.PASSED

    def failing(self) -> list[str]:
        return [name for name, outcome in self.by_name.items() if outcome in FAILING]

    def document(self) -> dict[str, Any]:
        """As a tree for JSON."""
        return {
            "by_name": {name: outcome.value for name, outcome in self.by_name.items()},
            "names": sorted(self.names),
            "broken": sorted(self.broken),
            "flaky": sorted(self.flaky),
            "is_watched": self.is_watched,
            "is_all_broken": self.is_all_broken,
            "coverage": list(self.coverage) if self.coverage is not None else None,
        }

    @classmethod
    def from_document(cls, tree: Mapping[str, Any]) -> Self:
        """Raises: KeyError, TypeError, ValueError or AttributeError for a tree of another shape."""
        coverage = tree["coverage"]
        return cls(
            by_name={str(name): TestOutcome(outcome) for name, outcome in tree["by_name"].items()},
            names=frozenset(map(str, tree["names"])),
            broken=frozenset(map(str, tree["broken"])),
            flaky=frozenset(map(str, tree["flaky"])),
            is_watched=bool(tree["is_watched"]),
            is_all_broken=bool(tree["is_all_broken"]),
            coverage=None if coverage is None else (int(coverage[0]), int(coverage[1])),
        )


def outcomes(cases: Iterable[TestCase]) -> dict[str, TestOutcome]:
    """Of tests that a report names twice, the worst."""
    found: dict[str, TestOutcome] = {}
    for case in cases:
        found[case.name] = min(found.get(case.name, case.outcome), case.outcome, key=_ORDER.index)
    return found


def _is_collection_error(case: TestCase) -> bool:
    return case.outcome is TestOutcome.ERROR and case.message.startswith("collection failure")


def shrinkage(base: Outcomes, candidate: Outcomes) -> Iterator[Problem]:
    """Tests of the base that the change has not any more, or skips."""
    gone = sorted(name for name in base.names - candidate.names if not candidate.is_in_broken(name))
    if gone and _tells_all(candidate):
        hint = "; a changed parameter counts as a removal" if any("[" in name for name in gone) else ""
        yield _problem("test_removed", f"{_count(gone)} of the base are gone: {named(gone)}{hint}.")
    skipped = sorted(
        name
        for name, outcome in candidate.by_name.items()
        if outcome is TestOutcome.SKIPPED and base.by_name.get(name, TestOutcome.SKIPPED) is not TestOutcome.SKIPPED
    )
    if skipped:
        yield _problem("test_skipped", f"{_count(skipped)} that run on the base are skipped now: {named(skipped)}.")


def _tells_all(candidate: Outcomes) -> bool:
    """Without a witness, a run that stops at its first failure looks like one that lost tests; it fails anyway."""
    return not candidate.is_all_broken and (candidate.is_watched or not candidate.failing())


def weakened(base: Outcomes, candidate: Outcomes, crossed: Outcomes) -> Iterator[Problem]:
    """Tests that pass on the change only since it edited them; `crossed` has the base's tests on its code.

    One that fails on the base too is no exception: it is what the change was to repair.
    """
    broken = sorted(name for name in base.by_name if candidate.has_passed(name) and crossed.is_failing(name))
    if broken:
        told = f"{named(broken)}, as the base has it, fails on the changed code, and passes only as the change has it."
        yield _problem("base_test_broken", told)


def is_proven(candidate: Outcomes, *others: Outcomes) -> bool:
    """Whether some test passes on the change and fails on the base's code."""
    steady = [name for name in candidate.by_name if candidate.has_passed(name) and name not in candidate.flaky]
    return any(other.is_failing(name) for other in others for name in steady if name not in other.flaky)


def unproven(kind: str) -> Problem:
    told = f"This is a {kind}, and no test, new or old, fails on the base and passes on the change."
    return _problem("fix_unproven", told)


def unmeasured(reason: str) -> Problem:
    return _problem("base_unmeasured", f"The base cannot be compared with: {reason}")


def blamed(tests: TestEvidence, candidate: Outcomes, base: Outcomes | None) -> TestEvidence:
    """The same with its failures told apart: flaky ones, and those of the base that were no target."""
    flaky = sorted(candidate.flaky)
    targets = {report_id(target) for target in tests.targets}
    known = base if base is not None else Outcomes()
    old = sorted(name for name in candidate.failing() if known.is_failing(name) and name not in targets)
    old += sorted(candidate.broken & known.broken)
    return tests.model_copy(
        update={
            "flaky": len(flaky),
            "flaky_names": tuple(flaky[:FAILURES_KEPT]),
            "preexisting": len(old),
            "preexisting_names": tuple(old[:FAILURES_KEPT]),
        }
    )


def to_blame(problems: Iterable[Problem], candidate: Outcomes, base: Outcomes | None) -> Iterator[Problem]:
    """The problems without those of modules that cannot be collected on the base either."""
    before = candidate.broken & base.broken if base is not None else frozenset[str]()
    starts = tuple(f"{module.replace('::', '.')} " for module in before)
    for problem in problems:
        if problem.code != "collection_failed" or not problem.message.startswith(starts):
            yield problem


def with_base(coverage: CoverageEvidence | None, base: Outcomes | None) -> CoverageEvidence | None:
    if coverage is None or base is None or base.coverage is None:
        return coverage
    covered, lines = base.coverage
    return coverage.model_copy(update={"base_covered_count": covered, "base_lines_count": lines})


def _problem(code: str, message: str) -> Problem:
    return Problem(code=code, message=plain(message, 600))


def _count(names: Sequence[str]) -> str:
    return "1 test" if len(names) == 1 else f"{len(names)} tests"


def named(names: Sequence[str]) -> str:
    """The first few of them."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
