"""Files beside a workflow that it names: prompts, gates, and the directories of teams that say otherwise.

Under its `override_dir` a team keeps `prompts/<phase>.md` and `gates/*.yaml`; no other file there
means anything. What a workflow names decides what a run is asked for, so no agent may change it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from posixpath import normpath
from typing import Final

from libs.contracts.words import Phase
from libs.contracts.workflow import Policy
from libs.contracts.workflow.criteria import Scope
from libs.contracts.workflow.gates import stated_gates
from libs.contracts.workflow.gathering import Texts, parts_of_file
from libs.contracts.workflow.nodes import Place, Table, find, unknown
from libs.contracts.workflow.parts import GatePolicy, GateReference, PhasePolicy, TeamPolicy
from libs.contracts.workflow.values import one_of, path

KINDS: Final = ("prompts", "gates")
"""What a team may say otherwise: a directory below its own, and a key of `merge_strategy`."""

NOTHING_THERE: Final = "holds neither prompts/<phase>.md nor gates/*.yaml, so no run of this team can begin"
_FORM: Final = re.compile(r"prompts/(?P<phase>[^/]+)\.md|gates/[^/]+\.ya?ml")


def named_files(policy: Policy, listing: Iterable[str]) -> tuple[str, ...]:
    """The files that a workflow names as it writes them, and which of the repository's files its teams keep."""
    gates = (gate.path for gate in policy.gate_files)
    kept = (file for file in listing if any(_kept(file, directory) for directory in directories(policy)))
    return tuple(dict.fromkeys((*gates, *_templates(policy.phases), *kept)))


def prompt_files(policy: Policy) -> tuple[str, ...]:
    """The prompts of a workflow and of its teams, which must use no variable that nobody knows."""
    of_teams = (team.prompts.values() for team in policy.teams.values())
    return tuple(dict.fromkeys((*_templates(policy.phases), *chain.from_iterable(of_teams))))


def directories(policy: Policy) -> tuple[str, ...]:
    return tuple(normpath(team.override_dir or "") for team in _placed(policy.teams))


def _placed(teams: Mapping[str, TeamPolicy]) -> Iterator[TeamPolicy]:
    return (team for team in teams.values() if team.override_dir is not None)


def _templates(phases: Mapping[Phase, PhasePolicy]) -> Iterator[str]:
    return (phase.template for phase in phases.values() if phase.template is not None)


def _kept(file: str, directory: str) -> re.Match[str] | None:
    """The match of a file that has its form and stands below the directory."""
    top = "" if directory == "." else f"{directory}/"
    return _FORM.fullmatch(file.removeprefix(top)) if file.startswith(top) else None


def teams(reported: tuple[str, ...], texts: Texts, place: Place) -> dict[str, TeamPolicy]:
    read = partial(_team, reported, texts)
    return {name: entry.read(read, TeamPolicy()) for name, entry in place.entries().items()}


def _team(reported: tuple[str, ...], texts: Texts, place: Place) -> TeamPolicy:
    table = Table(place, ("override_dir", "merge_strategy"))
    team = TeamPolicy(
        override_dir=table.optional("override_dir", path),
        merge_strategy=table.read("merge_strategy", _merge_strategy, TeamPolicy().merge_strategy),
    )
    if team.override_dir is None:
        place.warn("names no override_dir, so it says nothing otherwise")
        return team
    return _filled(team, normpath(team.override_dir), reported, texts, table.entries["override_dir"])


def _merge_strategy(place: Place) -> dict[str, str]:
    table = Table(place, KINDS)
    return {key: table.read(key, one_of("replace", "additive"), "additive") for key in table.entries}


def _filled(team: TeamPolicy, directory: str, reported: tuple[str, ...], texts: Texts, place: Place) -> TeamPolicy:
    """The team with what its directory holds."""
    if texts is None:
        place.warn("its files were not read, so they say nothing")
        return team
    kept = {file: found for file in sorted(texts) if (found := _kept(file, directory))}
    if not kept:
        place.warn(NOTHING_THERE)
    named = {file: found["phase"] for file, found in kept.items() if found["phase"] is not None}
    files = {file: texts[file] for file in kept if file not in named}
    return team.model_copy(update={"prompts": _prompts(named, place), "gates": _gates(files, reported, place)})


def _prompts(named: Mapping[str, str], place: Place) -> dict[Phase, str]:
    for file, name in named.items():
        if name not in tuple(Phase):
            place.warn(f"{file} is never used: {unknown('phase', name, tuple(Phase))}")
    files = {name: file for file, name in named.items()}
    return {phase: files[phase] for phase in Phase if phase in files}


def _gates(files: Mapping[str, str | bytes], reported: tuple[str, ...], place: Place) -> dict[Phase, GatePolicy]:
    scope = Scope(None, reported)
    parts = (parts_of_file(file, content, scope, place) for file, content in files.items())
    return stated_gates(chain.from_iterable(parts))


def unprotected(
    protected: tuple[str, ...],
    phases: Mapping[Phase, PhasePolicy],
    references: Iterable[GateReference],
    teams: Mapping[str, TeamPolicy],
) -> tuple[str, ...]:
    """Globs of what the workflow names and what is not protected already."""
    files = (normpath(file) for file in (*_templates(phases), *(reference.path for reference in references)))
    kept = (normpath(f"{team.override_dir}/{kind}/**") for team in _placed(teams) for kind in KINDS)
    tops = tuple(glob.removesuffix("**") for glob in protected if glob.endswith("/**"))
    return tuple(dict.fromkeys(glob for glob in (*files, *kept) if not glob.startswith(tops) and glob not in protected))


def warn_of_missing_templates(policy: Policy, texts: Texts, root: Place) -> None:
    for name, phase in policy.phases.items():
        if texts is not None and phase.template is not None and phase.template not in texts:
            place = find(root, ("phases", name, "template")) or root
            place.warn("there is no such file; the built-in template is used")
