"""Every earlier attempt of a run: what was done, its patch, and why it was not enough.

An attempt is told when it made a change, could not be carried out, or did not pass its gate. A build
often fails at a later gate: what those gates said until the next build stands with the build.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from libs.contracts.facts import GateJudged, PhaseCompleted, PhaseErrored
from libs.contracts.history import History
from libs.contracts.requests import one_line, plain
from libs.contracts.words import Outcome, Phase
from libs.runtime.reports import LINE_MAX, fenced, told_tests

PATCH: Final = "diff.patch"
PATCH_BYTES_MAX: Final = 200 * 2**10
PATCHES_BYTES_MAX: Final = 2 * 2**20
"""Bounds of what the files hold: of one patch, and of all together, the newest first."""

PROSE_PATCH_CHARS_MAX: Final = 12 * 2**10
PROSE_CHARS_MAX: Final = 36 * 2**10
"""Bounds of what a prompt holds, which may have to fit into one argument."""


@dataclass(frozen=True)
class Tried:
    """One attempt; `failed` holds why, as (phase, attempt, reasons) of each gate that it did not pass."""

    phase: Phase
    attempt: int
    summary: str = ""
    commit: str | None = None
    declined: str | None = None
    error: str | None = None
    outcome: Outcome | None = None
    failed: tuple[tuple[Phase, int, tuple[str, ...]], ...] = ()
    tests: tuple[Mapping[str, Any], ...] = ()
    patch_digest: str | None = None
    patch: str | None = None

    @property
    def is_worth_telling(self) -> bool:
        is_failed = self.error is not None or self.declined is not None or bool(self.failed)
        return self.phase is Phase.BUILD or is_failed

    def as_json(self) -> dict[str, Any]:
        """Only what is known: an attempt that failed nowhere has no `failures`."""
        own = {name: getattr(self, name) for name in ("summary", "commit", "declined", "error", "outcome", "patch")}
        failures = [reason for _, _, reasons in self.failed for reason in reasons]
        failed = [{"phase": phase, "attempt": attempt, "reasons": reasons} for phase, attempt, reasons in self.failed]
        told = {**own, "failures": failures, "failed_at": failed, "tests": self.tests}
        return {"phase": self.phase, "attempt": self.attempt, **{key: value for key, value in told.items() if value}}


@dataclass
class _Told:
    """The attempts met so far, by place, and the build that later verdicts are about."""

    attempts: dict[tuple[Phase, int], Tried] = field(default_factory=dict)
    build: tuple[Phase, int] | None = None

    def answered(self, fact: PhaseCompleted | PhaseErrored) -> None:
        place = (fact.phase, fact.attempt)
        tried = Tried(fact.phase, fact.attempt)
        if isinstance(fact, PhaseErrored):
            self.attempts[place] = replace(tried, error=one_line(fact.message, LINE_MAX))
            return
        tests = fact.evidence.tests
        self.attempts[place] = replace(
            tried,
            summary=fact.summary,
            commit=fact.commit,
            declined=fact.declined,
            tests=tuple(told_tests(tests)) if tests else (),
            patch_digest=fact.evidence.artifacts.get(PATCH) if fact.phase is Phase.BUILD else None,
        )
        if fact.phase is Phase.BUILD:
            self.build = place

    def judged(self, fact: GateJudged) -> None:
        place = (fact.phase, fact.attempt)
        tried = self.attempts.get(place, Tried(fact.phase, fact.attempt))
        self.attempts[place] = replace(tried, outcome=fact.verdict.outcome)
        if fact.verdict.outcome.is_passed:
            return
        failure = (fact.phase, fact.attempt, tuple(one_line(reason, LINE_MAX) for reason in fact.verdict.reasons))
        about_build = self.build if fact.phase in (Phase.TEST, Phase.REVIEW, Phase.DEPLOY) else None
        for at in {place, about_build or place}:
            self.attempts[at] = replace(self.attempts[at], failed=(*self.attempts[at].failed, failure))


def attempts_so_far(history: History) -> tuple[Tried, ...]:
    """The attempts that are worth telling, oldest first, without the text of their patches."""
    told = _Told()
    for recorded in history.facts:
        match recorded.fact:
            case PhaseCompleted() | PhaseErrored() as fact:
                told.answered(fact)
            case GateJudged() as fact:
                told.judged(fact)
            case _:
                continue
    return tuple(tried for tried in told.attempts.values() if tried.is_worth_telling)


def with_patches(tried: tuple[Tried, ...], patches: Mapping[str, bytes]) -> tuple[Tried, ...]:
    """The attempts with the text of their patches, each and all together of a bounded size, the newest first."""
    room = PATCHES_BYTES_MAX
    filled: list[Tried] = []
    for one in reversed(tried):
        data = patches.get(one.patch_digest or "", b"")
        taken = data[: min(room, PATCH_BYTES_MAX)]
        room -= len(taken)
        text = _cut(plain(taken.decode("utf-8", "replace")), len(data) - len(taken), "bytes")
        filled.append(replace(one, patch=text or None))
    return tuple(reversed(filled))


def prose(tried: tuple[Tried, ...]) -> str:
    """The attempts in words for a prompt, oldest first; where there is no room, the oldest patches go first."""
    room = PROSE_CHARS_MAX
    parts: list[str] = []
    for one in reversed(tried):
        head = _head(one)
        patch = _prose_patch(one, min(PROSE_PATCH_CHARS_MAX, room - len(head)))
        room -= len(head) + len(patch)
        if room < 0:
            parts.append(f"({len(tried) - len(parts)} earlier attempts stand in attempts.json)")
            break
        parts.append(head + patch)
    return "\n\n".join(reversed(parts))


def _head(tried: Tried) -> str:
    failed = [
        f"- {phase}, attempt {attempt}: {'; '.join(reasons) or 'did not pass'}"
        for phase, attempt, reasons in tried.failed
    ]
    lines = [
        f"## {tried.phase}, attempt {tried.attempt}",
        *([f"What was done: {tried.summary}"] if tried.summary else []),
        *([f"It was declined: {tried.declined}"] if tried.declined is not None else []),
        *([f"It could not be carried out: {tried.error}"] if tried.error is not None else []),
        *(["Why it was not enough:", *failed] if failed else []),
    ]
    return "\n".join(lines)


def _prose_patch(tried: Tried, chars_max: int) -> str:
    if not tried.patch:
        return ""
    if chars_max < len(tried.patch) // 8 or chars_max <= 0:
        return "\nIts patch stands in attempts.json."
    return "\n" + fenced(_cut(tried.patch[:chars_max], len(tried.patch) - chars_max, "characters"), "diff")


def _cut(text: str, left: int, unit: str) -> str:
    return text if left <= 0 else f"{text}\n… {left} {unit} more"
