"""Subjects of the bus: which exist, who may publish on which, and how the slots of the log are named."""

from typing import Final

from libs.contracts.facts import PHASE_ANSWERS, PHASE_WORKERS, SPEAKERS, Fact, PhaseFact
from libs.contracts.words import Phase, Service

INTAKE_ISSUE: Final = "intake.issue"
INTAKE_DECISION: Final = "intake.decision"
INTAKE_LADDER: Final = "intake.ladder"
LIVE: Final = "live"
PROGRESS: Final = "progress"
ASIDE: Final = "aside"
TIMER_AT: Final = "timers.at"
TIMER_DUE: Final = "timers.due"
QUERY: Final = "query"


def run_filter(run: str) -> str:
    """Subjects of all facts of one run."""
    return f"run.{run}.>"


def ladder_filter(workflow: str) -> str:
    """Subjects of all facts of one workflow's ladder."""
    return f"workflow.{workflow}.>"


def slot_filter(fact: PhaseFact) -> str:
    """Subjects of the request for an attempt and of every possible answer to it."""
    return f"run.{fact.run}.phase.*.{fact.phase}.{fact.attempt}"


def pattern(fact: type[Fact], *, aggregate: str = "*", phase: Phase | None = None) -> str:
    """The subjects of a fact type, for one phase where given."""
    if fact.stream == "issue":
        return f"issue.{aggregate}.{fact.type.removeprefix('issue.')}.*"
    places = [phase if phase and field == "phase" else "*" for field in fact.place]
    return ".".join([fact.stream, aggregate, fact.type, *places])


def spoken_by(service: Service) -> tuple[str, ...]:
    """Subjects on which a service, and no other, may publish facts."""
    own = tuple(
        pattern(fact, aggregate=service.value if fact.stream == "service" else "*") for fact in SPEAKERS[service]
    )
    answers = tuple(
        pattern(answer, phase=phase)
        for phase, worker in PHASE_WORKERS.items()
        if worker is service
        for answer in PHASE_ANSWERS
    )
    return own + answers
