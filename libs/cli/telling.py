"""What a fact says, in short, for people."""

from libs.contracts import facts as f
from libs.contracts.requests import one_line
from libs.contracts.wire import Recorded
from libs.contracts.words import Level

SAID_LIMIT = 300


def said(fact: f.Fact) -> str:
    """The fact in one line; whatever strangers wrote in it holds no control characters."""
    return one_line(_said(fact), SAID_LIMIT)


def _said(fact: f.Fact) -> str:
    match fact:
        case f.RunFact():
            return _of_run(fact)
        case f.IssueOpened():
            problem = f"; no run can begin: {fact.snapshot.problem}" if fact.snapshot.problem else ""
            return f"“{fact.title}” in {fact.repository}, by {fact.tracker}{problem}"
        case f.IssueClosed():
            return fact.reason
        case f.PolicyAdopted():
            return f"policy {fact.policy_digest[:12]} for {fact.repository}"
        case f.LadderFact():
            return _of_ladder(fact)
        case f.SandboxProbed():
            return fact.message
        case _:
            return "; ".join(f"{name}: {value}" for name, value in fact.model_dump(mode="json").items() if value)


def _of_ladder(fact: f.LadderFact) -> str:
    match fact:
        case f.LevelEarned():
            return f"{fact.level} is earned: {fact.reason}"
        case f.LevelGranted():
            return f"{fact.level} is granted{proven(fact)} by {fact.by}: {fact.reason}"
        case f.LevelLowered():
            return f"lowered to {fact.level} by {fact.by} ({fact.cause}): {fact.reason}"
        case f.LabelStated():
            truth = "right" if fact.is_right else "wrong"
            return (
                f"the {fact.phase} gate was {truth} in run {fact.run[:8]}, by {fact.by} ({fact.source}): {fact.reason}"
            )
        case f.GateCalibrated():
            seeded = f"{fact.caught} of {fact.seeded} candidates made bad on purpose were stopped"
            return f"{seeded}, {fact.passed} of {fact.good} good ones passed, by {fact.by}"
        case f.FreezeSet() | f.FreezeLifted():
            said = "frozen" if isinstance(fact, f.FreezeSet) else "the freeze is lifted"
            return f"{said} by {fact.by}" + (f": {fact.reason}" if fact.reason else "")
        case f.HistoryImported():
            signed = "signed" if fact.is_signed else "not signed"
            return f"history from {fact.source}, by {fact.by}, {signed}; it never counts as proof"
        case _:
            return _in_its_own_words(fact)


def proven(fact: f.LevelGranted) -> str:
    """Whether the last rung was granted with its proof; nothing is to be said of the others."""
    if fact.level is not Level.ASE:
        return ""
    return " with proof" if fact.with_proof else " without proof"


def _of_run(fact: f.RunFact) -> str:
    match fact:
        case f.PhaseFact():
            return _of_phase(fact)
        case f.RunStarted():
            return f"“{fact.title}” on {fact.branch}, level {fact.level}, agent {fact.agent}"
        case f.DecisionRecorded():
            return f"{decided(fact)}: {fact.reason}" if fact.reason else decided(fact)
        case f.DecisionRefused():
            return f"{fact.kind} by {fact.by} refused: {fact.message}"
        case f.MergeAuthorised():
            return f"{fact.commit[:12]} may land on {fact.branch} at {fact.base[:12]}, by {fact.by}"
        case f.ChangeProposed():
            return f"{fact.commit[:12]} on {fact.branch} for {fact.target}: {fact.title}"
        case f.ChangeMerged():
            return f"{fact.tip[:12]} into {fact.target}, {fact.method}"
        case f.ChangeRefused():
            return f"{fact.code}: {fact.message}"
        case f.RollbackOrdered():
            return f"by {fact.by} ({fact.why}): {fact.reason}"
        case f.ChangeReverted():
            return f"{fact.tip[:12]} takes back {fact.reverts[:12]} ({fact.why}): {fact.reason}"
        case f.RunFinished() | f.WatchEnded():
            return f"{fact.outcome}: {fact.reason}"
        case f.TimerDue():
            return fact.timer
        case _:
            return _in_its_own_words(fact)


def _in_its_own_words(fact: f.Fact) -> str:
    """The reason or message that most facts carry; nothing where a fact says all by its type."""
    return str(getattr(fact, "reason", None) or getattr(fact, "message", None) or "")


def _of_phase(fact: f.PhaseFact) -> str:
    match fact:
        case f.PhaseRequested():
            guided = f", guided: {fact.guidance}" if fact.guidance else ""
            return f"of {fact.agent} on {fact.commit[:12]}{guided}"
        case f.PhaseClaimed():
            return f"by {fact.worker}"
        case f.PhaseCompleted():
            return f"declined: {fact.declined}" if fact.declined else fact.summary
        case f.PhaseErrored():
            return f"{fact.code}: {fact.message}"
        case f.GateJudged():
            reasons = "; ".join(fact.verdict.reasons)
            return f"{fact.verdict.outcome} → {fact.disposition} at {fact.level_in_force}: {reasons or fact.reason}"
        case f.CheckpointClosed():
            return fact.how
        case _:
            return _in_its_own_words(fact)


def decided(fact: f.DecisionRecorded) -> str:
    how = " (automatic)" if fact.automatic else ""
    return f"{fact.kind} by {fact.by}{how}"


def place(recorded: Recorded) -> str:
    """Where the fact stands among others of its type: `build 2`, a timer, a decision."""
    fact = recorded.fact
    return " ".join(str(getattr(fact, name))[:12] for name in fact.place)
