"""Every fact that can stand in the log: past tense, never changed, each stated by one service only.

A fact's type is `noun.participle`; its subject is the aggregate, the type and, where one
aggregate holds several, the fields named by `place`. `SPEAKERS` says who may state what;
publish rights and the published document are made from it.
"""

from typing import Final

from libs.contracts.facts.base import (
    Attempt,
    Fact,
    IssueFact,
    LadderFact,
    Moment,
    Owed,
    PhaseFact,
    RunFact,
    ServiceFact,
)
from libs.contracts.facts.change import (
    ChangeClosed,
    ChangeMerged,
    ChangeProposed,
    ChangeQueued,
    ChangeRefused,
    ChangeReverted,
)
from libs.contracts.facts.issue import IssueClosed, IssueEdited, IssueOpened, Snapshot
from libs.contracts.facts.ladder import (
    FreezeLifted,
    FreezeSet,
    GateCalibrated,
    HistoryImported,
    LabelStated,
    LevelEarned,
    LevelGranted,
    LevelLowered,
    PolicyAdopted,
)
from libs.contracts.facts.production import (
    AnomalyDetected,
    IncidentOpened,
    IncidentResolved,
    ServiceAnomalyDetected,
    ServiceIncidentOpened,
    ServiceIncidentResolved,
    WatchEnded,
    WatchStarted,
)
from libs.contracts.facts.run import (
    CheckpointClosed,
    CheckpointOpened,
    CheckpointReminded,
    DecisionRecorded,
    DecisionRefused,
    GateJudged,
    MergeAuthorised,
    PhaseRequested,
    RollbackOrdered,
    RunAborted,
    RunEscalated,
    RunFinished,
    RunStarted,
    TimerDue,
)
from libs.contracts.facts.work import PhaseClaimed, PhaseCompleted, PhaseErrored, SandboxProbed
from libs.contracts.words import Phase, Service

__all__ = [
    "FACTS",
    "PHASE_ANSWERS",
    "PHASE_WORKERS",
    "SPEAKERS",
    "AnomalyDetected",
    "Attempt",
    "ChangeClosed",
    "ChangeMerged",
    "ChangeProposed",
    "ChangeQueued",
    "ChangeRefused",
    "ChangeReverted",
    "CheckpointClosed",
    "CheckpointOpened",
    "CheckpointReminded",
    "DecisionRecorded",
    "DecisionRefused",
    "Fact",
    "FreezeLifted",
    "FreezeSet",
    "GateCalibrated",
    "GateJudged",
    "HistoryImported",
    "IncidentOpened",
    "IncidentResolved",
    "IssueClosed",
    "IssueEdited",
    "IssueFact",
    "IssueOpened",
    "LabelStated",
    "LadderFact",
    "LevelEarned",
    "LevelGranted",
    "LevelLowered",
    "MergeAuthorised",
    "Moment",
    "Owed",
    "PhaseClaimed",
    "PhaseCompleted",
    "PhaseErrored",
    "PhaseFact",
    "PhaseRequested",
    "PolicyAdopted",
    "RollbackOrdered",
    "RunAborted",
    "RunEscalated",
    "RunFact",
    "RunFinished",
    "RunStarted",
    "SandboxProbed",
    "ServiceAnomalyDetected",
    "ServiceFact",
    "ServiceIncidentOpened",
    "ServiceIncidentResolved",
    "Snapshot",
    "TimerDue",
    "WatchEnded",
    "WatchStarted",
    "speaker_of",
]

PHASE_WORKERS: Final = {
    Phase.INTENT: Service.PLANNER,
    Phase.PLAN: Service.PLANNER,
    Phase.BUILD: Service.BUILDER,
    Phase.TEST: Service.BUILDER,
    Phase.REVIEW: Service.BUILDER,
    Phase.DOCUMENT: Service.BUILDER,
    Phase.DEPLOY: Service.MERGER,
}
"""Which service answers `phase.requested` of which phase; the monitor answers the merge itself."""

SPEAKERS: Final[dict[Service, tuple[type[Fact], ...]]] = {
    Service.PLANNER: (IssueOpened, IssueEdited, IssueClosed),
    Service.BUILDER: (SandboxProbed,),
    Service.GATEKEEPER: (
        RunStarted,
        PhaseRequested,
        GateJudged,
        CheckpointOpened,
        CheckpointReminded,
        CheckpointClosed,
        DecisionRecorded,
        DecisionRefused,
        TimerDue,
        MergeAuthorised,
        RollbackOrdered,
        RunEscalated,
        RunAborted,
        RunFinished,
        PolicyAdopted,
        LevelEarned,
        LevelGranted,
        LevelLowered,
        LabelStated,
        FreezeSet,
        FreezeLifted,
        HistoryImported,
        GateCalibrated,
    ),
    Service.MERGER: (ChangeProposed, ChangeQueued, ChangeMerged, ChangeRefused, ChangeClosed, ChangeReverted),
    Service.MONITOR: (
        WatchStarted,
        WatchEnded,
        AnomalyDetected,
        IncidentOpened,
        IncidentResolved,
        ServiceAnomalyDetected,
        ServiceIncidentOpened,
        ServiceIncidentResolved,
    ),
}
"""Facts that one service alone states; answers to phases belong to whoever works the phase."""

PHASE_ANSWERS: Final[tuple[type[PhaseFact], ...]] = (PhaseClaimed, PhaseCompleted, PhaseErrored)

FACTS: Final[tuple[type[Fact], ...]] = (*PHASE_ANSWERS, *(fact for facts in SPEAKERS.values() for fact in facts))


def speaker_of(fact: Fact) -> Service:
    """The one service that may state this fact."""
    if isinstance(fact, PHASE_ANSWERS):
        return PHASE_WORKERS[fact.phase]
    return next(service for service, facts in SPEAKERS.items() if type(fact) in facts)
