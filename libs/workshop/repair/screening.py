"""Decides which tests a candidate has to face first, and reads a server's answer."""

import time
from collections.abc import Iterable
from typing import Any

from .candidates import Candidate
from .diagnosis import Diagnosis
from .servers import ServerError, Worker
from .suite import Test

WANTED_MAX = 6
KEPT_MAX = 400
CPU_MIN_S = 0.12
CPU_MIN_AT_MOST_S = 1.0
TIMES_BASELINE = 10.0


class NotReproducibleError(Exception):
    """The failing tests pass when nothing is changed, so that no edit could be blamed or praised."""


class Screening:
    """The tests of a diagnosis as jobs for a server."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self._diagnosis = diagnosis
        self._spectrum = diagnosis.spectrum
        self._order = list(diagnosis.result.order)
        self._tests = diagnosis.result.tests
        self._unstable: set[str] = set()
        self._prelude: list[str] = []
        self._is_always_cold = False
        self._cpu_min_s = CPU_MIN_AT_MOST_S
        self.targets = frozenset(test.nodeid for test in diagnosis.failing)

    def calibrate(self, worker: Worker) -> None:
        """Run everything without an edit in a fork: what fares otherwise than before cannot be judged there.

        Raises: NotReproducibleError, ServerError.
        """
        for is_cold in (False, True):
            self._is_always_cold = is_cold
            for prelude in ([], self._companions()):
                self._prelude = prelude
                if self._reproduces(worker):
                    self._cpu_min_s = self._measure(worker)
                    return
        raise NotReproducibleError

    def _reproduces(self, worker: Worker) -> bool:
        kept = [test.nodeid for test in self._diagnosis.result.passing if test.nodeid not in self._prelude]
        ending = [nodeid for nodeid in self._sorted(self.targets) if not is_endless(self._tests[nodeid])]
        job = self._job(wanted=ending, more=[], kept=kept[:KEPT_MAX], everything=True)
        try:
            answer = worker.ask({**job, "path": ""}, is_cold=self._is_always_cold)
        except ServerError:
            return False
        self._unstable = set(answer.get("broken", ()))
        return not answer["trouble"] and not answer["passed"]

    def _measure(self, worker: Worker) -> float:
        """CPU seconds that any stage may take at least: five times what a fork needs when nothing is changed."""
        ending = [nodeid for nodeid in self._sorted(self.targets) if not is_endless(self._tests[nodeid])]
        started = time.monotonic()
        worker.ask(
            {**self._job(wanted=ending[:WANTED_MAX], more=[], kept=[], everything=True), "path": ""},
            is_cold=self._is_always_cold,
        )
        return min(CPU_MIN_AT_MOST_S, max(CPU_MIN_S, 5 * (time.monotonic() - started)))

    def _companions(self) -> list[str]:
        """The passing tests before the last failing one: they may leave behind what makes it fail."""
        last = max(self._order.index(nodeid) for nodeid in self.targets)
        return [nodeid for nodeid in self._order[:last] if self._tests[nodeid].outcome == "passed"]

    def mended(self, worker: Worker, candidate: Candidate) -> frozenset[str]:
        """Failing tests that pass with the candidate; none if it breaks a passing one or does not end."""
        job = {**self._job_for(candidate), **edit_of(candidate)}
        is_cold = candidate.is_cold or self._is_always_cold
        answer = worker.ask(job, is_cold=is_cold)
        if answer["trouble"] == "import anew" and not is_cold:
            answer = worker.ask(job, is_cold=True)
        if answer["trouble"] or answer["broken"]:
            return frozenset()
        return frozenset(answer["passed"])

    def is_complete(self, candidate: Candidate, mended: frozenset[str]) -> bool:
        """Whether no single edit is likely to mend everything, and this one mends all that come near its line."""
        several = not self._spectrum.has_common_line
        return several and not candidate.is_elsewhere and mended >= self.targets & self._runners(candidate)

    def _runners(self, candidate: Candidate) -> frozenset[str]:
        """Tests that run the candidate's lines; all of them where the lines run at import."""
        if candidate.is_elsewhere:
            return frozenset(self._order)
        numbers = {n for line in candidate.lines for n in self._spectrum.runners(candidate.source.path, line)}
        return frozenset(self._order[number] for number in numbers if number >= 0)

    def _job_for(self, candidate: Candidate) -> dict[str, Any]:
        runners = self._runners(candidate)
        affected = self._sorted(self.targets & runners) or self._sorted(self.targets)
        kept = [nodeid for nodeid in self._order if nodeid in runners and self._is_stable(nodeid)]
        return self._job(
            wanted=affected[:WANTED_MAX], more=affected[WANTED_MAX:], kept=kept[:KEPT_MAX], everything=False
        )

    def _is_stable(self, nodeid: str) -> bool:
        test = self._tests.get(nodeid)
        return (
            test is not None
            and test.outcome == "passed"
            and nodeid not in self._unstable
            and nodeid not in self._prelude
        )

    def _sorted(self, nodeids: Iterable[str]) -> list[str]:
        """Quick tests first; with a prelude the order of the suite, which matters then."""
        if self._prelude:
            return sorted(nodeids, key=self._order.index)
        return sorted(nodeids, key=lambda nodeid: (self._limit(nodeid), self._order.index(nodeid)))

    def _job(self, *, wanted: list[str], more: list[str], kept: list[str], everything: bool) -> dict[str, Any]:
        stages = {"prelude": self._prelude, "wanted": wanted, "more": more, "kept": kept}
        limits = {name: max(self._cpu_min_s, sum(map(self._limit, nodeids))) for name, nodeids in stages.items()}
        return {**stages, "limits": limits, "everything": everything, "start_s": 30.0 if everything else 10.0}

    def _limit(self, nodeid: str) -> float:
        """CPU seconds that a test may take: ten times what it took; for one that never ended, what the others take."""
        test = self._tests[nodeid]
        if is_endless(test):
            usual = sorted(other.duration_s for other in self._diagnosis.result.passing)
            return TIMES_BASELINE * usual[len(usual) // 2] if usual else 0.0
        return TIMES_BASELINE * test.duration_s


def is_endless(test: Test) -> bool:
    return test.error == "TestDidNotEndError"


def edit_of(candidate: Candidate) -> dict[str, Any]:
    first, old, new = candidate.units()
    return {
        "path": candidate.source.path,
        "encoding": candidate.source.encoding,
        "original": candidate.source.text,
        "text": candidate.text,
        "first_line": first,
        "old_unit": old,
        "new_unit": new,
    }
