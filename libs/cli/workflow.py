"""`rung workflow`: a repository's configuration, checked and shown without any service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from libs.cli import options as o
from libs.cli.asked_level import AskedLevel, asked_level
from libs.cli.ending import ExitCode, Misused
from libs.cli.screen import Screen, cell
from libs.contracts.workflow import Policy, WorkflowRefused
from libs.contracts.workflow.in_force import in_force
from libs.contracts.workflow.overrides import KINDS, NOTHING_THERE, directories, named_files, prompt_files
from libs.contracts.workflow.parts import WorkflowProblem
from libs.contracts.workflow.reading import read_workflow
from libs.workshop.prompts import TemplateRefused, require_known_variables

EXAMPLE: Final = "Example: rung workflow check workflow.yaml"
SHOW_EXAMPLE: Final = "Example: rung workflow show workflow.yaml --type feature"

app = typer.Typer(help="The configuration of a repository.", rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A workflow.yaml, or a gate file.")]
ForType = Annotated[str, typer.Option("--type", metavar="TYPE", help="The type of issue whose route is shown.")]
ForTeam = Annotated[str | None, typer.Option("--team", metavar="NAME", help="The team whose prompts and gates hold.")]

BY_LEVEL: Final = "as the level says"


@app.callback()
def _group() -> None:
    """The configuration of a repository."""


@app.command("check", epilog=EXAMPLE)
def check(file: File, *, data: o.Data = None, as_json: o.AsJson = False) -> None:
    """Check a workflow, and print each problem as file:line: field: sentence.

    Gate files, prompts and teams' files that it names are read from beside it. Where a system runs that knows the
    repository around the file, it is said what level is granted there.

    Exit code: 0 it can be used (warnings may be printed), 1 it is refused, 2 there is no such file.
    """
    policy, problems = read(file)
    screen, is_ok = Screen(is_json=as_json), policy is not None
    level = asked_level(policy, file, data) if policy is not None else None
    _tell(screen, problems, is_ok=is_ok, level=level)
    raise typer.Exit(ExitCode.OK if is_ok else ExitCode.FAILED)


@app.command("show", epilog=SHOW_EXAMPLE)
def show(file: File, *, issue_type: ForType = "bug", team: ForTeam = None, as_json: o.AsJson = False) -> None:
    """Show what a workflow asks of one type of issue, with defaults, routes, gate files and a team's files taken in.

    Exit code: 0 it is shown, 1 it is refused and its problems are printed, 2 there is no such file or team.
    """
    screen = Screen(is_json=as_json)
    policy, problems = read(file)
    if policy is None:
        _tell(screen, problems, is_ok=False)
        raise typer.Exit(ExitCode.FAILED)
    for problem in problems:
        screen.progress(f"{problem} (warning)")
    require_team(policy, team)
    shown = in_force(policy, issue_type, team)
    if not shown["is_routed"]:
        routed = ", ".join(map(cell, policy.routing))
        screen.progress(f"No route is for {cell(issue_type)}, so it goes through every phase; routed are {routed}.")
    if screen.is_json:
        return screen.answer(shown)
    told = _for_people(shown)
    screen.line(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000).rstrip())
    return None


def require_team(policy: Policy, team: str | None) -> None:
    """Raises:  Misused for a team that the workflow does not name, or whose files are not there."""
    if team is None:
        return
    if team not in policy.teams:
        known = f"known are {', '.join(map(cell, policy.teams))}" if policy.teams else "it names none"
        raise Misused(f"The workflow names no team {cell(team)}; {known}.")
    if policy.teams[team].lacks_files:
        raise Misused(f"{cell(policy.teams[team].override_dir or '')} {NOTHING_THERE}.")


def _for_people(shown: dict[str, Any]) -> dict[str, Any]:
    """The answer with words where a program gets nothing because the level decides."""
    phases = [{**phase, "disposition": phase["disposition"] or BY_LEVEL} for phase in shown["phases"]]
    loops = {name: {**loop, "on_exhaust": loop["on_exhaust"] or BY_LEVEL} for name, loop in shown["loops"].items()}
    return {**shown, "phases": phases, "loops": loops}


def _tell(
    screen: Screen, problems: tuple[WorkflowProblem, ...], *, is_ok: bool, level: AskedLevel | None = None
) -> None:
    if screen.is_json:
        told = [problem.model_dump(mode="json") for problem in problems]
        return screen.answer({"ok": is_ok, "problems": told, "level": level.as_json() if level else None})
    for problem in problems:
        screen.line(f"{problem}{' (warning)' if problem.is_warning else ''}")
    screen.progress(_summary(problems, is_ok=is_ok))
    for sentence in level.sentences if level else ():
        screen.progress(sentence)
    return None


def checked(file: Path) -> tuple[bool, tuple[WorkflowProblem, ...]]:
    """Whether the workflow can be used, and everything there is to say about it.

    Raises:  Misused when the file cannot be read.
    """
    policy, problems = read(file)
    return policy is not None, problems


def read(file: Path) -> tuple[Policy | None, tuple[WorkflowProblem, ...]]:
    """The policy, `None` where the file is refused, and everything there is to say about it.

    Raises:  Misused when the file cannot be read.
    """
    content = _content(file)
    try:
        policy, _ = read_workflow(content, str(file))
        texts = _texts(file.parent, policy)
        policy, problems = read_workflow(content, str(file), texts)
    except WorkflowRefused as refused:
        return None, refused.problems
    errors = tuple(_template_errors(policy, texts))
    return (None if errors else policy), (*problems, *errors)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror or error}.") from error


def _texts(root: Path, policy: Policy) -> dict[str, bytes]:
    """The files that are there, by the path that the workflow names them with."""
    below = (root / directory / kind for directory in directories(policy) for kind in KINDS)
    listing = (file.relative_to(root).as_posix() for place in below if place.is_dir() for file in place.iterdir())
    return {name: _content(root / name) for name in named_files(policy, listing) if (root / name).is_file()}


def _template_errors(policy: Policy, texts: dict[str, bytes]) -> Iterator[WorkflowProblem]:
    """Prompts that cannot be filled in, each by its first variable that nobody knows."""
    for path in prompt_files(policy):
        try:
            require_known_variables(texts.get(path, b"").decode("utf-8", "replace"), path)
        except TemplateRefused as refused:
            place, _, sentence = str(refused).removeprefix(path).partition(": ")
            yield WorkflowProblem(file=path, line=int(place.removeprefix(":") or 1), field="", message=sentence)


def _summary(problems: tuple[WorkflowProblem, ...], *, is_ok: bool) -> str:
    warnings = sum(problem.is_warning for problem in problems)
    if is_ok:
        return f"The workflow can be used; {_count(warnings, 'warning')}."
    return f"The workflow is refused: {_count(len(problems) - warnings, 'error')}, {_count(warnings, 'warning')}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
