"""`rung backtest`: what another policy or level would have made of the runs in the log."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.connection import connected
from libs.cli.ending import Misused
from libs.cli.offline import asked_of_entries, asked_of_file
from libs.cli.screen import Screen, cell, moment, table
from libs.cli.system import complete
from libs.cli.whole_log import head_of, stored
from libs.cli.workflow import read
from libs.contracts.export import Entry
from libs.contracts.operator import tighten
from libs.contracts.words import Level
from libs.contracts.workflow import Policy
from libs.runtime.settings import SettingUnusable, read_operator_file

EXAMPLE: Final = "Example: rung backtest --policy stricter.yaml --since 2026-01-01 --from log.jsonl"
POLICIES_MAX: Final = 2
SHOWN: Final = 20
"""Runs of each kind that a person is shown; --json has all."""
NAME: Final = 8
"""How much of a run's name is shown."""
SECONDS: Final = re.compile(r"\d+(\.\d+)?")
KNOWN: Final = ("good", "bad", "unknown")
EFFECTS: Final = {
    "let_through": "changes let through that were stopped",
    "stopped": "changes stopped that went on",
    "human_spared": "changes that went on without asking a person who was asked",
    "human_asked": "changes about which a person is asked who was not",
    "otherwise": "changes stopped in another way",
    "merged_without_human": "changes merged without a person",
}

PolicyFiles = Annotated[
    list[Path],
    typer.Option("--policy", metavar="FILE", help="A workflow to judge by; given twice, the two stand side by side."),
]
AtLevel = Annotated[
    Level | None,
    typer.Option(
        "--level",
        metavar="LEVEL",
        parser=o.parse_level,
        help="Who decides: as at this level, if it were granted; by default the level in force that each verdict had.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Only runs that began then or later: 2026-01-31, 2026-01-31T12:00:00Z, seconds."
    ),
]
OfRepo = Annotated[
    str | None, typer.Option("--repo", metavar="PATH", help="Only runs of this repository; by default of all.")
]
From = Annotated[Path | None, typer.Option("--from", metavar="EXPORT", help="An exported log instead of a system.")]


def backtest(
    *,
    policy: PolicyFiles,
    level: AtLevel = None,
    since: Since = None,
    repo: OfRepo = None,
    export: From = None,
    data: o.Data = None,
    as_json: o.AsJson = False,
) -> None:
    """Judge the runs of the log again by another policy or level, and list each that would have gone differently.

    A run is judged from the evidence that stands in the log, up to where it would have gone another way. What was not
    measured is never guessed: such runs are listed apart. With one policy it stands beside what really happened.

    Exit code: 0 judged, whatever was found; 2 wrong usage, a refused workflow or an export that cannot be read,
    4 no system runs.
    """
    screen = Screen(is_json=as_json)
    if len(policy) > POLICIES_MAX:
        raise Misused("--policy may be given twice at most.")
    asked = {"level": level.value if level else None, "since": None if since is None else parse_time(since)}
    with _written([(file, _policy(file, screen)) for file in policy]) as policies:
        options = {**asked, "policies": policies, "repositories": None if repo is None else json.dumps(_paths(repo))}
        told = asked_of_file("backtest", export, **options) if export else complete(_of_system(data, options, screen))
    if screen.is_json:
        return screen.answer(told)
    return _tell(screen, told, repo)


def parse_time(text: str) -> float:
    """A moment in seconds since 1970-01-01 UTC, from a date, a date and time (UTC where it says nothing), or seconds.

    Raises:  Misused.
    """
    if SECONDS.fullmatch(text.strip()):
        return float(text)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Misused(f"{cell(text)} is no time; say 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _policy(file: Path, screen: Screen) -> Policy:
    """The policy as runs here would have it, with what the operator asks for.

    Raises:  Misused with everything that refuses the workflow.
    """
    policy, problems = read(file)
    if policy is None:
        said = "; ".join(str(problem) for problem in problems if not problem.is_warning)
        raise Misused(f"The workflow is refused: {said}.")
    for problem in problems:
        screen.progress(f"{problem} (warning)")
    try:
        return tighten(policy, read_operator_file(os.environ))
    except SettingUnusable as unusable:
        raise Misused(f"The operator's file cannot be used: {unusable}") from unusable


@contextlib.contextmanager
def _written(policies: Sequence[tuple[Path, Policy]]) -> Iterator[str]:
    """The policies in a file of their own, which they need: a command line has no room for them."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump([{"file": str(path), "policy": policy.model_dump(mode="json")} for path, policy in policies], file)
        file.flush()
        yield file.name


def _paths(repo: str) -> list[str]:
    """What a repository may be called in the log: as it is here, or, in a log from elsewhere, as it is said."""
    if not repo.strip():
        raise Misused("--repo names no repository.")
    return list(dict.fromkeys((os.path.realpath(Path(repo).expanduser()), repo)))


async def _of_system(data: Path | None, options: Mapping[str, object], screen: Screen) -> Any:
    async with connected(data) as connection:
        entries: AsyncIterator[Entry] = stored(connection, await head_of(connection), screen.progress)
        return await asked_of_entries("backtest", entries, **options)


# -- for people ---------------------------------------------------------------


def _tell(screen: Screen, told: Mapping[str, Any], repo: str | None) -> None:
    for warning in told["warnings"]:
        screen.line(f"Note: {warning}.", "yellow")
    if not told["runs"]:
        of = f" of {cell(repo)}" if repo else ""
        return screen.line(f"There is no run{of} to judge again.")
    files = [cell(one["file"], 60) for one in told["policies"]]
    _tell_counts(screen, told["summary"], files)
    _tell_runs(screen, told["different"], files)
    return _tell_untold(screen, told["cannot_tell"])


def _tell_runs(screen: Screen, different: Sequence[Mapping[str, Any]], files: Sequence[str]) -> None:
    if not different:
        return
    beside = files[1] if len(files) > 1 else "as it was"
    made = table("run", "began", "after", beside, files[0], "person", "became", "change")
    for one in different[:SHOWN]:
        was = one["other"] or one["recorded"]
        made.add_row(
            one["run"][:NAME],
            moment(one["started"])[:16],
            f"{one['phase']} {one['attempt']}",
            _way(was),
            _way(one["would"]),
            _person(one["human"]),
            _became(one["became"]),
            one["change"],
        )
    screen.out.print(made)
    for one in different[:SHOWN]:
        screen.line(
            f"{one['run'][:NAME]} {cell(one['title'], 60)}: {_why(one['would'])}; {cell(one['would']['then'], 300)}."
        )
    _tell_more(screen, different, "runs that would have gone differently")


def _tell_untold(screen: Screen, untold: Sequence[Mapping[str, Any]]) -> None:
    for one in untold[:SHOWN]:
        place = f"after {one['phase']} {one['attempt']}: " if one["phase"] else ""
        reason = cell(one["reason"], 300)
        screen.line(f"{one['run'][:NAME]} {cell(one['title'], 60)}: cannot tell, {place}{reason}.", "yellow")
    _tell_more(screen, untold, "runs of which nobody can tell")


def _tell_more(screen: Screen, listed: Sequence[object], what: str) -> None:
    if len(listed) > SHOWN:
        screen.line(f"… {len(listed) - SHOWN} more {what}; --json lists them all.")


def _tell_counts(screen: Screen, counts: Mapping[str, Any], files: Sequence[str]) -> None:
    beside = f" than by {files[1]}" if len(files) > 1 else ""
    screen.line(
        f"{counts['runs']} runs seen: {counts['same']} the same, {counts['different']} different{beside}, "
        f"{counts['cannot_tell']} cannot be told."
    )
    for way, count in counts["differences"].items():
        screen.line(f"  {count} times: {way}".replace("->", "→"))
    for effect, said in EFFECTS.items():
        if (known := counts[effect]) and any(known.values()):
            parts = ", ".join(f"{known[word]} {word}" for word in KNOWN if known[word])
            screen.line(f"  {sum(known.values())} {said}: {parts}")
    for name, word in (("false_pass", "false passes"), ("false_fail", "false fails")):
        if any(counts[name].values()):
            screen.line(f"  {word}: {counts[name]['gained']} gained, {counts[name]['lost']} lost")
    agreed = counts["human_agreed"]
    if any(agreed.values()):
        screen.line(f"  people had decided the same {agreed['yes']} times, otherwise {agreed['no']} times")


def _way(side: Mapping[str, Any]) -> str:
    return f"{side['outcome'] or '?'}, {side['disposition'] or 'not judged'}"


def _why(would: Mapping[str, Any]) -> str:
    said = "; ".join(f"{one['criterion']}: {one['message']}" for one in would["why"][:3])
    return cell(said or would["reason"], 300)


def _person(human: Mapping[str, Any] | None) -> str:
    if human is None:
        return "-"
    agrees = {True: " ✓", False: " ✗", None: ""}[human["agrees"]]
    return f"{human['decision']}{agrees}{' (automatic)' if human['automatic'] else ''}"


def _became(became: Mapping[str, Any]) -> str:
    if became["reverted"]:
        return f"taken back ({became['reverted']})"
    if became["outcome"] == "merged":
        return f"merged, {became['watch'] or 'watched still'}"
    return became["outcome"] or "not ended"
