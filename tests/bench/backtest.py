"""How long a backtest of many runs takes: `python -m tests.bench.backtest [runs] [--live]`.

It makes an export of varied runs by the real deciders, and prints how long `rung backtest` needs for it, how much of
that is looking for what matters, and how long a bare reader needs for the same lines; with `--live` instead how long
it takes from the log of a server that holds the same runs. Nothing is asserted: the figures are for people to compare.
"""

import asyncio
import contextlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from libs.contracts.evidence import ChangedFile, CoverageEvidence, Evidence, TestCase, TestOutcome
from libs.contracts.export import canonical, encode_stored
from libs.contracts.facts import Fact, PhaseClaimed, speaker_of
from libs.contracts.ladder import Ladder
from libs.contracts.requests import fact_id, issue_id
from libs.contracts.wire import Headers, Recorded, encode_fact
from libs.contracts.words import DecisionKind, Level, Outcome, Phase, Service
from libs.contracts.workflow import Policy
from libs.contracts.workflow.reading import read_workflow
from services.gatekeeper.authority import LABELLED_MIN, Experience
from services.gatekeeper.decider import decide
from services.gatekeeper.decisions import consider
from services.gatekeeper.evolution import evolve
from services.gatekeeper.run import Run
from services.gatekeeper.timers import due, open_timers
from services.gatekeeper.transitions import Stage
from tests.spec import story
from tests.support.bus import Bus, running_bus

RUNS: Final = 10_000
SEED: Final = 7
AT_ONCE: Final = 500
FIRST_SECOND: Final = 1_700_000_000.0
BEFORE: Final = "auto_merge: {enabled: true}\ngates: {test: {all_pass: true, coverage_min: 70}}\n"
AFTER: Final = (
    "auto_merge: {enabled: true}\n"
    "gates: {test: {all_pass: true, coverage_min: 85}, build: {max_files_changed: 3},"
    " document: {no_broken_links: true}}\n"
)
EXPERIENCED: Final = Experience(LABELLED_MIN, has_live_signal=True, has_drilled=True, is_sandboxed=True)
TRACE: Final = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"

Stored = tuple[str, Headers, bytes]


class Author:
    """Writes the log of one run after another, all different."""

    def __init__(self, policy: Policy, seed: int = SEED) -> None:
        self._policy = policy
        self._chance = random.Random(seed)  # noqa: S311 - a seeded draw, nothing secret
        self._sequence = 0

    def runs(self, count: int) -> Iterator[tuple[Stored, int, float]]:
        """Every message of so many runs, with its sequence and time."""
        for number in range(count):
            yield from self._run(number)

    def _run(self, number: int) -> Iterator[tuple[Stored, int, float]]:
        key = str(number)
        issue = story.opened(policy=self._policy).model_copy(
            update={"key": key, "issue": issue_id("cli", story.REPOSITORY, key), "title": f"Number {key} is wrong"}
        )
        levels = list(Level)[: self._chance.choice((1, 2, 2, 3, 4))]
        level = levels[-1]
        ladder = Ladder(
            workflow=issue.workflow, earned=level, granted=level, policy_digest=issue.snapshot.policy_digest
        )
        run = Run()
        fact: Fact | None = issue.model_copy(update={"level": level})
        cause = issue.request
        while fact is not None:
            self._sequence += 1
            now = FIRST_SECOND + self._sequence
            identity = fact_id(cause, fact.subject)
            speaker = speaker_of(fact)
            headers, data = encode_fact(fact, fact_id=identity, cause=cause, producer=speaker, traceparent=TRACE)
            yield (fact.subject, headers, data), self._sequence, now
            run = evolve(run, Recorded(fact, identity, cause, speaker, self._sequence, now))
            fact, cause = self._next(run, ladder, fact)

    def _next(self, run: Run, ladder: Ladder, last: Fact) -> tuple[Fact | None, str]:
        if owed := decide(run, ladder, EXPERIENCED):
            return owed[0].fact, owed[0].cause
        return self._answer(run, last), run.cause

    def _answer(self, run: Run, last: Fact) -> Fact | None:
        """What somebody else says next; `None` at the end of the story."""
        match run.stage:
            case Stage.WORKING if not isinstance(last, PhaseClaimed):
                return PhaseClaimed(run=run.run, phase=run.phase, attempt=run.attempt, worker="host:1")
            case Stage.WORKING:
                return self._work(run)
            case Stage.WAITING:
                return self._decision(run)
            case Stage.AUTHORISED:
                return story.merged().model_copy(update={"run": run.run})
            case Stage.MERGED:
                return story.watch_started().model_copy(update={"run": run.run})
            case Stage.WATCHING:
                ended = self._chance.choice(("clear", "clear", "clear", "no_data"))
                return story.watch_ended(ended).model_copy(update={"run": run.run})
            case Stage.PROCEEDING:
                return next(due(run, timer.name, timer.at)[0].fact for timer in open_timers(run))
            case _:
                return None

    def _decision(self, run: Run) -> Fact:
        assert run.judged is not None
        is_fail = run.judged.verdict.outcome is Outcome.FAIL
        kind = DecisionKind.REJECT if self._chance.random() < (0.5 if is_fail else 0.03) else DecisionKind.APPROVE
        if is_fail and kind is DecisionKind.APPROVE:
            kind = DecisionKind.OVERRIDE
        request = story.asks(kind, f"d{self._sequence}").model_copy(update={"run": run.run})
        return consider(run, request)[0].fact

    def _work(self, run: Run) -> Fact:
        answer = story.completed(run.phase, run.attempt, self._evidence(run.phase))
        return answer.model_copy(update={"run": run.run, "duration_s": round(self._chance.uniform(1, 300), 3)})

    def _evidence(self, phase: Phase) -> Evidence:
        good = (story.BAD if self._chance.random() < 0.06 else story.GOOD)[phase]
        named: dict[str, Any] = {} if phase is Phase.PLAN else {"commit": self._name(), "tree": self._name()}
        if good.diff is not None and good.diff.files:
            named["diff"] = good.diff.model_copy(update={"files": self._files()})
        if good.tests is not None:
            named |= self._tests(good)
        artifacts = {name: self._name() + "0" * 24 for name in ("report.xml", "output.txt", "change.diff")}
        return good.model_copy(update={**named, "artifacts": artifacts})

    def _tests(self, good: Evidence) -> dict[str, Any]:
        assert good.tests is not None
        count = self._chance.randrange(20, 2000)
        tests = {"passed": count, "duration_s": round(self._chance.uniform(1, 90), 3), "command": "python -m pytest"}
        if good.tests.failed:
            names = [
                f"tests/test_{self._chance.randrange(40)}.py::test_{n}" for n in range(self._chance.randrange(1, 6))
            ]
            failures = tuple(TestCase(name=name, outcome=TestOutcome.FAILED, message="assert 1 == 2") for name in names)
            tests |= {"failed": len(names), "failures": failures}
        lines = self._chance.randrange(200, 9000)
        coverage = CoverageEvidence(
            covered_count=round(lines * self._chance.uniform(0.65, 1)),
            lines_count=lines,
            changed_covered_count=8,
            changed_lines_count=10,
        )
        return {"tests": good.tests.model_copy(update=tests), "coverage": coverage}

    def _files(self) -> tuple[ChangedFile, ...]:
        paths = [f"src/area_{self._chance.randrange(99)}/part_{n}.py" for n in range(self._chance.randrange(1, 6))]
        return tuple(
            ChangedFile(path=path, status="M", lines_added=self._chance.randrange(80), lines_removed=2)
            for path in paths
        )

    def _name(self) -> str:
        return f"{self._chance.getrandbits(160):040x}"


def export(file: BinaryIO, count: int) -> None:
    """The log of so many runs, as `rung audit export` writes it."""
    author = Author(read_workflow(BEFORE)[0])
    lines = (encode_stored(*message, sequence=at, time=now) for message, at, now in author.runs(count))
    file.writelines(canonical(line) + b"\n" for line in lines)


def measure(count: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        file, policy = Path(place, "log.jsonl"), Path(place, "after.yaml")
        policy.write_text(AFTER)
        with file.open("wb") as out:
            export(out, count)
        _print(f"an export of {count} runs", f"{file.stat().st_size / 1e6:.0f} MB")
        _print("its lines read by json.loads alone", f"{_bare_s(file):.2f} s")
        for words in ([], ["--level", "ase"], ["--policy", str(policy)]):
            _tell(words, *_backtest(["--policy", str(policy), *words, "--from", str(file)]))


def _bare_s(file: Path) -> float:
    begun = time.monotonic()
    with file.open("rb") as lines:
        for line in lines:
            json.loads(line)
    return time.monotonic() - begun


def _backtest(words: Sequence[str]) -> tuple[float, float, Any]:
    begun = time.monotonic()
    command = [sys.executable, "-m", "libs.cli.main", "backtest", "--json", *words]
    before = _cpu_s()
    done = subprocess.run(command, capture_output=True, check=True)
    return time.monotonic() - begun, _cpu_s() - before, json.loads(done.stdout)


def _cpu_s() -> float:
    """Seconds of processors that all children have taken, which says more where others work on them too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tell(words: Sequence[str], whole_s: float, cpu_s: float, told: Any) -> None:
    counts = {name: told["summary"][name] for name in ("runs", "same", "different", "cannot_tell")}
    reading = f"{told['indexed_s']:.2f} s of them finding the lines that matter"
    _print(f"rung backtest {' '.join(words)}", f"{whole_s:.2f} s ({cpu_s:.2f} s of processors), {reading}; {counts}")


# -- a running system ---------------------------------------------------------


async def measure_live(count: int) -> None:
    """The same from the log of a server, which has to hand out every message."""
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place, "after.yaml")
        policy.write_text(AFTER)
        async with running_bus(Path(place, "data")) as bus:
            await _fill(bus, count)
            words = ["--policy", str(policy), "--data", str(bus.data)]
            _tell(["from a server"], *await asyncio.to_thread(_backtest, words))


async def _fill(bus: Bus, count: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = {f"/rung/{one}": await stack.enter_async_context(bus.client(one)) for one in Service}
        last = clients["/rung/gatekeeper"]
        for (subject, headers, data), at, _ in Author(read_workflow(BEFORE)[0]).runs(count):
            if clients[headers["ce-source"]] is not last or at % AT_ONCE == 0:
                await last.flush()
            last = clients[headers["ce-source"]]
            await last.publish(subject, data, headers=headers)
        await last.flush()


def _print(what: str, said: str) -> None:
    print(f"{what}: {said}", flush=True)  # noqa: T201 - a bench prints


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    if "--live" in sys.argv[1:]:
        asyncio.run(measure_live(*(numbers or [RUNS])))
    else:
        measure(*(numbers or [RUNS]))
