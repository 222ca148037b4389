"""Work on phases: what the planner, the builder and the merger answer."""

from typing import Annotated

from pydantic import Field

from libs.contracts.evidence import Evidence
from libs.contracts.facts.base import Cost, PhaseFact, ServiceFact
from libs.contracts.words import Digest, ObjectId


class PhaseClaimed(PhaseFact):
    """A worker took the attempt up; a later claim takes it over."""

    type = "phase.claimed"
    worker: str


class PhaseCompleted(PhaseFact):
    """The attempt's work and evidence; `declined` is the worker's reason why a retry is pointless.

    `cost_usd` is what the agent says it has cost; `None` when it does not say.
    """

    type = "phase.completed"
    worker: str
    agent: str
    commit: ObjectId
    summary: str = ""
    declined: str | None = None
    targets: tuple[str, ...] = ()
    evidence: Evidence
    duration_s: Annotated[float, Field(ge=0)] = 0.0
    cost_usd: Cost | None = None


class PhaseErrored(PhaseFact):
    """The attempt could not be carried out; nobody's work was judged.

    One that is retryable may well succeed though nobody changes anything. `cost_usd` is what was spent all the
    same; `None` when nobody knows.
    """

    type = "phase.errored"
    worker: str
    code: str
    message: str
    is_retryable: bool = False
    cost_usd: Cost | None = None
    artifacts: dict[str, Digest] = Field(default_factory=dict)


class SandboxProbed(ServiceFact):
    """What the sandbox of a service really keeps apart on its machine."""

    type = "sandbox.probed"
    is_full: bool
    layers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    message: str = ""
