"""`rung workflow`: a repository's configuration, checked and shown without any service."""

from pathlib import Path
from typing import Annotated, Final

import typer
import yaml

from libs.cli import options as o
from libs.cli.ending import ExitCode, Misused
from libs.cli.screen import Screen, cell
from libs.contracts.workflow import Policy, WorkflowRefused
from libs.contracts.workflow.in_force import in_force
from libs.contracts.workflow.parts import WorkflowProblem
from libs.contracts.workflow.reading import read_workflow

EXAMPLE: Final = "Example: rung workflow check workflow.yaml"
SHOW_EXAMPLE: Final = "Example: rung workflow show workflow.yaml --type feature"

app = typer.Typer(help="The configuration of a repository.", rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A workflow.yaml, or a gate file.")]
ForType = Annotated[str, typer.Option("--type", metavar="TYPE", help="The type of issue whose route is shown.")]


@app.callback()
def _group() -> None:
    """The configuration of a repository."""


@app.command("check", epilog=EXAMPLE)
def check(file: File, *, as_json: o.AsJson = False) -> None:
    """Check a workflow, and print each problem as file:line: field: sentence.

    Gate files that it names are read from beside it.

    Exit code: 0 it can be used (warnings may be printed), 1 it is refused, 2 there is no such file.
    """
    is_ok, problems = checked(file)
    _tell(Screen(is_json=as_json), problems, is_ok=is_ok)
    raise typer.Exit(ExitCode.OK if is_ok else ExitCode.FAILED)


@app.command("show", epilog=SHOW_EXAMPLE)
def show(file: File, *, issue_type: ForType = "bug", as_json: o.AsJson = False) -> None:
    """Show what a workflow asks of one type of issue, with defaults, routes and gate files taken in.

    Exit code: 0 it is shown, 1 it is refused and its problems are printed, 2 there is no such file.
    """
    screen = Screen(is_json=as_json)
    policy, problems = read(file)
    if policy is None:
        _tell(screen, problems, is_ok=False)
        raise typer.Exit(ExitCode.FAILED)
    for problem in problems:
        screen.progress(f"{problem} (warning)")
    shown = in_force(policy, issue_type)
    if not shown["is_routed"]:
        routed = ", ".join(map(cell, policy.routing))
        screen.progress(f"No route is for {cell(issue_type)}, so it goes through every phase; routed are {routed}.")
    if screen.is_json:
        return screen.answer(shown)
    screen.line(
        yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000).rstrip()
    )
    return None


def _tell(screen: Screen, problems: tuple[WorkflowProblem, ...], *, is_ok: bool) -> None:
    if screen.is_json:
        screen.answer({"ok": is_ok, "problems": [problem.model_dump(mode="json") for problem in problems]})
    else:
        for problem in problems:
            screen.line(f"{problem}{' (warning)' if problem.is_warning else ''}")
        screen.progress(_summary(problems, is_ok=is_ok))


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
        policy, problems = read_workflow(content, str(file))
        if policy.gate_files:
            policy, problems = read_workflow(content, str(file), _gate_texts(file, policy))
    except WorkflowRefused as refused:
        return None, refused.problems
    return policy, problems


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror or error}.") from error


def _gate_texts(file: Path, policy: Policy) -> dict[str, bytes]:
    """The gate files that are there, by the path that the workflow names them with."""
    found = {}
    for gate in policy.gate_files:
        path = file.parent / gate.path
        if path.is_file():
            found[gate.path] = _content(path)
    return found


def _summary(problems: tuple[WorkflowProblem, ...], *, is_ok: bool) -> str:
    warnings = sum(problem.is_warning for problem in problems)
    if is_ok:
        return f"The workflow can be used; {_count(warnings, 'warning')}."
    return f"The workflow is refused: {_count(len(problems) - warnings, 'error')}, {_count(warnings, 'warning')}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
