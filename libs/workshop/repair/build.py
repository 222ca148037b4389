"""The build phase: searches for the edits, leaves them in the repository, and tells what was done."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .diagnosis import Declined, Diagnosis, diagnose, named
from .hints import gather
from .inputs import Inputs, inert
from .screening import NotReproducibleError
from .search import Clock, Repair, Tally, search
from .servers import ServerError
from .site import Hints
from .source import Source
from .suite import copy, workplace

EDITS_MAX = 3
REFUTED_KEPT = 20000


@dataclass
class Work:
    """What the search has done so far: the state of the files it edits, before and now."""

    diagnosis: Diagnosis
    kept: list[Repair] = field(default_factory=list)
    before: dict[str, Source] = field(default_factory=dict)
    after: dict[str, Source] = field(default_factory=dict)

    def keep(self, repair: Repair) -> None:
        source, edit = repair.candidate.source, repair.candidate.edit
        self.kept.append(repair)
        self.before.setdefault(source.path, source)
        self.after[source.path] = source.changed(edit)

    def diff(self) -> str:
        return "".join(unified(source, self.after[path]) for path, source in self.before.items())


def build(inputs: Inputs, clock: Clock) -> None:
    tally = Tally()
    try:
        work = mend(inputs, clock, tally)
    finally:
        record(inputs, tally)
    for path, source in work.after.items():
        (inputs.root / path).write_bytes(source.data())
    record(inputs, tally, work.kept[-1].candidate.digest)
    inputs.write("report.md", narrative(inputs, work, tally, clock))


def mend(inputs: Inputs, clock: Clock, tally: Tally) -> Work:
    """Search edit after edit, in a copy, until the suite passes.

    Raises: Declined if that does not succeed.
    """
    refuted = earlier_refuted(inputs.attempts)
    with workplace() as place:
        root = copy(inputs.root, place)
        work = Work(diagnose(root, clock.left_s))
        diagnosis = work.diagnosis
        while len(work.kept) < EDITS_MAX:
            repair, is_whole = one_edit(
                root, diagnosis, hints_of(inputs, diagnosis), clock=clock, tally=tally, refuted=refuted
            )
            if repair is None:
                break
            work.keep(repair)
            path = repair.candidate.source.path
            (root / path).write_bytes(work.after[path].data())
            if is_whole:
                return work
            diagnosis = diagnose(root, clock.left_s)
    raise Declined(gave_up(work, tally, clock))


def one_edit(
    root: Path, diagnosis: Diagnosis, hints: Hints, *, clock: Clock, tally: Tally, refuted: set[str]
) -> tuple[Repair | None, bool]:
    try:
        return search(root, diagnosis, hints, clock=clock, tally=tally, refuted=refuted)
    except NotReproducibleError:
        raise Declined(
            f"{named(diagnosis.failing)} failed in the whole suite but not when run again alone,"
            " so no edit can be held responsible for it."
        ) from None
    except ServerError as error:
        raise Declined(f"Edits cannot be tried here: {error}.") from None


def gave_up(work: Work, tally: Tally, clock: Clock) -> str:
    partly = f"; {len(work.kept)} of them mended some tests, but not all" if work.kept else ""
    return (
        f"Tried {tally.tried} edits on {len(tally.lines)} lines in {clock.spent_s:.0f} s;"
        f" none passes the whole suite{partly}."
    )


def hints_of(inputs: Inputs, diagnosis: Diagnosis) -> Hints:
    texts = [inputs.issue.title, inputs.issue.body, inputs.text("guidance.md")]
    return gather(texts, diagnosis.failing)


def earlier_refuted(attempts: Iterable[dict[str, Any]]) -> set[str]:
    """Digests that earlier attempts tried in vain."""
    listed = [attempt.get("refuted") for attempt in attempts]
    return {str(item) for items in listed if isinstance(items, list) for item in items}


def record(inputs: Inputs, tally: Tally, kept: str | None = None) -> None:
    """What a later attempt need not try again: whoever asks again has found the kept edit wanting too."""
    tried = [*([kept] if kept else []), *tally.refuted][:REFUTED_KEPT]
    inputs.write_data("attempt.json", {"refuted": tried, "kept": kept or ""})


def unified(before: Source, after: Source) -> str:
    lines = difflib.unified_diff(before.lines, after.lines, f"a/{before.path}", f"b/{after.path}")
    return "".join(line.rstrip("\r\n") + "\n" for line in lines)


def narrative(inputs: Inputs, work: Work, tally: Tally, clock: Clock) -> str:
    final = work.kept[-1].result
    return "\n".join([
        "# Build",
        "",
        f"Issue: {inert(inputs.issue.title, 200) or '(the issue has no title)'}",
        "",
        "## What changed",
        "",
        "```diff",
        work.diff().rstrip("\n"),
        "```",
        "",
        "## Why here",
        "",
        *(reason(repair) for repair in work.kept),
        "",
        f"{tally.tried} edits on {len(tally.lines)} lines were tried in {clock.spent_s:.0f} s.",
        "",
        "## Tests",
        "",
        f"The whole suite passes in a fresh interpreter: {len(final.passing)} tests. These failed before:",
        "",
        *(f"- `{test.id}`" for test in work.diagnosis.failing),
        "",
    ])  # fmt: skip


def reason(repair: Repair) -> str:
    candidate = repair.candidate
    caution = (
        " Such an edit can silence a test without mending the code; look at it closely."
        if candidate.is_overfitting
        else ""
    )
    return (
        f"- `{candidate.source.path}:{candidate.line}`: a change of kind *{candidate.edit.kind}*,"
        f" candidate {repair.rank} by suspicion ({candidate.score:.2f}).{caution}"
    )
