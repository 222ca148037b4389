"""Readiness from a whole history, as the gatekeeper of a running system would answer from the same log."""

from collections.abc import Iterable, Mapping
from typing import Final

from libs.contracts.facts import LadderFact
from libs.contracts.history import History
from libs.contracts.ladder import Ladder, fold
from libs.contracts.readiness import Readiness
from libs.contracts.wire import Recorded
from services.gatekeeper.readiness.standing import readiness
from services.gatekeeper.replay import rows_of

SHOWN_MAX: Final = 20


class NoSuchWorkflow(LookupError):
    """The history holds no such workflow, or more than one; the message is one sentence."""


def readiness_of(
    history: History, *, workflow: str | None = None, repository: str | None = None, named: str | None = None
) -> Readiness:
    """The readiness of one workflow, found by its id or the beginning of it, or by its repository.

    `repository` is the path as it really is, `named` as somebody wrote it, who may sit at another machine. Without
    any of them the history has to hold exactly one workflow.

    Raises:  NoSuchWorkflow.
    """
    ladders = ladders_of(history)
    chosen = _chosen(ladders, workflow, {path for path in (repository, named) if path})
    cards = [row.card for row in rows_of(history) if row.workflow == chosen]
    return readiness(ladders[chosen], cards, None)


def ladders_of(history: History) -> dict[str, Ladder]:
    """The ladder of every workflow of which the history says anything, by id."""
    facts: dict[str, list[Recorded]] = {}
    for recorded in history.facts:
        if isinstance(recorded.fact, LadderFact):
            facts.setdefault(recorded.fact.workflow, []).append(recorded)
    unread = {one.subject.split(".")[1] for one in history.unread if one.subject.startswith(f"{LadderFact.stream}.")}
    return {name: fold(facts.get(name, ()), is_unread=name in unread) for name in sorted({*facts, *unread})}


def _chosen(ladders: Mapping[str, Ladder], workflow: str | None, repositories: set[str]) -> str:
    if not ladders:
        raise NoSuchWorkflow("the export holds no workflow")
    found = [name for name, ladder in ladders.items() if _is_meant(name, ladder, workflow, repositories)]
    if len(found) == 1:
        return found[0]
    if not found:
        asked = workflow or min(repositories)
        raise NoSuchWorkflow(f"the export holds no workflow {asked}; it holds {_listed(ladders, ladders)}")
    raise NoSuchWorkflow(f"the export holds {len(found)} workflows, name one: {_listed(ladders, found)}")


def _is_meant(name: str, ladder: Ladder, workflow: str | None, repositories: set[str]) -> bool:
    if workflow is not None:
        return name.startswith(workflow)
    return not repositories or ladder.repository in repositories


def _listed(ladders: Mapping[str, Ladder], names: Iterable[str]) -> str:
    told = [f"{name} ({ladders[name].repository or 'repository unknown'})" for name in names]
    more = f" and {len(told) - SHOWN_MAX} more" if len(told) > SHOWN_MAX else ""
    return ", ".join(told[:SHOWN_MAX]) + more
