"""What the gates said of candidates: kept line by line, and counted.

Theory: a gate is right that passes a good candidate or fails a bad one. Where it could not tell
(inconclusive, no data, could not run) it was neither; that is counted apart, and stops nothing.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from libs.contracts.words import Frozen, ObjectId, Outcome, Phase
from libs.workshop.calibration.candidates import Kind, Skipped
from libs.workshop.calibration.collecting import JUDGED


class GateSaid(Frozen):
    """One gate's verdict, with the sentences of what it did not pass."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()


class Result(Frozen):
    """One candidate, and what every gate said of it; `commit` is the one that was judged."""

    kind: Kind
    commit: ObjectId
    origin: ObjectId
    what: str
    said: dict[Phase, GateSaid]

    @property
    def is_bad(self) -> bool:
        return self.kind is not Kind.MERGED

    @property
    def is_stopped(self) -> bool:
        """Whether some gate failed it."""
        return any(gate.outcome is Outcome.FAIL for gate in self.said.values())

    @property
    def is_passed(self) -> bool:
        """Whether every gate let it through."""
        return all(gate.outcome.is_passed for gate in self.said.values())


@dataclass
class GateCount:
    """What one gate got right and wrong; `caught` of `bad` are those of the known bad that it could tell."""

    gate: Phase
    right: int = 0
    wrong: int = 0
    false_pass: int = 0
    false_fail: int = 0
    could_not_tell: int = 0
    caught: int = 0
    bad: int = 0

    @property
    def told(self) -> int:
        return self.right + self.wrong

    def count(self, said: Outcome, *, is_bad: bool) -> None:
        if not said.is_passed and said is not Outcome.FAIL:
            self.could_not_tell += 1
            return
        is_right = said.is_passed is not is_bad
        self.right += is_right
        self.wrong += not is_right
        self.false_pass += is_bad and said.is_passed
        self.false_fail += not is_bad and not said.is_passed
        self.bad += is_bad
        self.caught += is_bad and not said.is_passed


@dataclass(frozen=True)
class Tally:
    """Everything counted over the results; the catch rate is of all gates together."""

    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...]
    gates: tuple[GateCount, ...] = field(init=False)

    def __post_init__(self) -> None:
        counts = {phase: GateCount(phase) for phase in JUDGED}
        for result in self.results:
            for phase, said in result.said.items():
                counts[phase].count(said.outcome, is_bad=result.is_bad)
        object.__setattr__(self, "gates", tuple(counts.values()))

    def of(self, *kinds: Kind) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.kind in kinds)

    @property
    def bad(self) -> tuple[Result, ...]:
        return self.of(Kind.REVERTED, Kind.SEEDED)

    @property
    def missed(self) -> tuple[Result, ...]:
        """The known bad that no gate failed."""
        return tuple(result for result in self.bad if not result.is_stopped)

    @property
    def stopped_wrongly(self) -> tuple[Result, ...]:
        return tuple(result for result in self.of(Kind.MERGED) if result.is_stopped)


def stopped(results: Iterable[Result]) -> int:
    return sum(result.is_stopped for result in results)


class Kept:
    """Results in a file of JSON lines, so that work that was broken off goes on; a broken line is as good as none."""

    def __init__(self, path: Path, *, is_fresh: bool = False) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_fresh:
            path.unlink(missing_ok=True)
        self._known = {(one.kind, one.commit): one for one in _read(path)}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, kind: Kind, commit: str) -> Result | None:
        return self._known.get((kind, commit))

    def keep(self, result: Result) -> None:
        self._known[result.kind, result.commit] = result
        line = json.dumps(result.model_dump(mode="json")).encode() + b"\n"
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0) as file:
            is_broken_off = file.seek(0, os.SEEK_END) > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
            file.write(b"\n" + line if is_broken_off else line)


def _read(path: Path) -> list[Result]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Result.model_validate_json(line))
        except ValidationError:
            continue
    return found


def shares(tally: Tally) -> Sequence[tuple[int, int]]:
    """Of every gate the right ones, then of the bad the caught ones: how many of how many."""
    return [*((gate.right, gate.told) for gate in tally.gates), (stopped(tally.bad), len(tally.bad))]


def report(tally: Tally, bounds: Sequence[float | None], about: Mapping[str, object]) -> dict[str, object]:
    """Everything as JSON values, by stable keys; `bounds` belong to `shares`."""
    seeded = tally.of(Kind.SEEDED)
    return {
        **about,
        "candidates": {
            **{kind.value: len(tally.of(kind)) for kind in Kind},
            "skipped": len(tally.skipped),
        },
        "gates": [_gate(gate, bound) for gate, bound in zip(tally.gates, bounds, strict=False)],
        "catch_rate": {
            "caught": stopped(tally.bad),
            "bad": len(tally.bad),
            "rate": _share(stopped(tally.bad), len(tally.bad)),
            "bound": bounds[-1],
            "seeded_caught": stopped(seeded),
            "seeded_bad": len(seeded),
        },
        "passed": {
            "good": len(tally.of(Kind.MERGED)),
            "passed": sum(result.is_passed for result in tally.of(Kind.MERGED)),
        },
        "missed": [_told(result) for result in tally.missed],
        "stopped_wrongly": [_told(result) for result in tally.stopped_wrongly],
        "skipped": [{"commit": one.commit, "kind": one.kind.value, "why": one.why} for one in tally.skipped],
    }


def _gate(gate: GateCount, bound: float | None) -> dict[str, object]:
    return {
        "gate": gate.gate.value,
        "right": gate.right,
        "wrong": gate.wrong,
        "false_pass": gate.false_pass,
        "false_fail": gate.false_fail,
        "could_not_tell": gate.could_not_tell,
        "accuracy": _share(gate.right, gate.told),
        "bound": bound,
        "caught": gate.caught,
        "bad": gate.bad,
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _told(result: Result) -> dict[str, object]:
    """Why is what the gates said that did not simply pass."""
    why = [
        f"{phase}: {'; '.join(said.reasons) or said.outcome}"
        for phase, said in result.said.items()
        if said.outcome is not Outcome.PASS
    ]
    return {
        "commit": result.origin,
        "judged": result.commit,
        "kind": result.kind.value,
        "what": result.what,
        "is_passed": result.is_passed,
        "why": "; ".join(why),
    }
