"""Takes a merged change back: the inverse commit, its tests, and its landing by compare-and-swap.

Theory: what is taken back is `base..tip` of the merge, whatever has come on top since, as one commit on the present
tip. It is tested before it lands, unless its tree is the very one that stood before the merge. Failures that were there
before the merge come back with what was before, and those of the present tip are not its own: only tests that fail
without the change and in neither of the two keep it from landing. Should the branch move meanwhile, all is done
again. What would land is kept under a reference first, so whoever died after the landing finds it landed; and where
the branch holds nothing of the change any more, somebody else has taken it back.
"""

from dataclasses import dataclass
from typing import Final

from libs.contracts.facts import ChangeRefused, ChangeReverted
from libs.contracts.failures import WorkFailed
from libs.contracts.history import fence_for
from libs.contracts.requests import one_line
from libs.contracts.subjects import run_filter
from libs.contracts.words import Phase
from libs.runtime.log import Conflict
from libs.runtime.shell import Shell
from libs.runtime.telemetry import span
from libs.workshop.baselines import Baselines
from libs.workshop.compared import BASELINES
from libs.workshop.evidence.comparison import Outcomes
from libs.workshop.faults import told_as_failures
from libs.workshop.git import Conflict as MergeConflict
from libs.workshop.git import GitError, NotLanded, Quarantine, Source, Squashed, has_landed, inspect
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial
from services.merger.decider import Rollback, owed_rollback
from services.merger.effects import SUBJECT_LIMIT
from services.merger.landing import to_the_head

TRIES: Final = 5
"""How often the inverse is made anew because the branch moved while it was tested."""
NAMED: Final = 5
UNMEASURED: Final = "the tests as a whole, which cannot be run"
ALL_BROKEN: Final = "every test module"

Answer = ChangeReverted | ChangeRefused


async def answer_rollback(shell: Shell, sandbox: Sandbox, run: str) -> None:
    """Take back what is ordered to be, once; a repeat finds the answer in the log, or the revert landed already."""
    history = await to_the_head(shell.log, run_filter(run))
    if (owed := owed_rollback(history)) is None:
        return
    with span(f"{shell.service} rollback", parent=owed.recorded.traceparent, run=run):
        fact = await take_back(shell, sandbox, owed)
        try:
            await shell.log.append(
                fact, cause=owed.recorded.id, fence=fence_for(fact, history), traceparent=owed.recorded.traceparent
            )
        except Conflict:
            await answer_rollback(shell, sandbox, run)


async def take_back(shell: Shell, sandbox: Sandbox, owed: Rollback) -> Answer:
    """The change is off its branch, or why it is not."""
    try:
        with told_as_failures("not_reverted"):
            quarantine = await Quarantine.open(shell.settings.repository(owed.started.workflow))
            tell = shell.teller(owed.started.run, Phase.DEPLOY)
            trial = Trial(sandbox, quarantine, shell.settings.scratch, owed.started.policy, Limits(), tell)
            return await _Reverting(owed, trial, Baselines(shell.settings.state / BASELINES)).answer()
    except WorkFailed as failed:
        code = "gone" if isinstance(failed.__cause__, GitError) else "refused"
        return _refused(owed, code, str(failed))


@dataclass(frozen=True)
class _Reverting:
    """One order on its way."""

    owed: Rollback
    trial: Trial
    baselines: Baselines

    @property
    def quarantine(self) -> Quarantine:
        return self.trial.quarantine

    @property
    def ref(self) -> str:
        return f"refs/rung/{self.owed.started.run}/revert"

    async def answer(self) -> Answer:
        for _ in range(TRIES):
            source = await inspect(self.owed.started.repository, self.owed.merged.target)
            await self.quarantine.fetch(source, source.tip)
            if (answer := await self._on(source)) is not None:
                return answer
        moved = f"{self.owed.merged.target} moved {TRIES} times while the revert was tested"
        return _refused(self.owed, "moved", moved)

    async def _on(self, source: Source) -> Answer | None:
        """The answer on this tip of the branch; `None` when the branch has moved away from it."""
        known = await self.quarantine.kept(self.ref)
        if known is not None and await has_landed(source, known):
            return _reverted(self.owed, known)
        made = await self._made(source)
        if isinstance(made, MergeConflict):
            return _refused(self.owed, "conflict", f"later changes build on it, in {_named(made.paths)}")
        if made.tree == await self.quarantine.tree_of(source.tip):
            return _reverted(self.owed, source.tip)
        if (fails := await self._broken(made, source)) is not None:
            return _refused(self.owed, "refused", fails)
        await self.quarantine.keep(self.ref, made.commit)
        landed = await self.quarantine.land(source, made.commit, source.tip)
        if not isinstance(landed, NotLanded):
            return _reverted(self.owed, made.commit)
        return None if landed.reason == "moved" else _refused(self.owed, landed.reason, landed.message)

    async def _made(self, source: Source) -> Squashed | MergeConflict:
        merged = self.owed.merged
        return await self.quarantine.revert(
            tip=source.tip,
            base=merged.base,
            merged=merged.tip,
            message=revert_message(self.owed, await self.quarantine.message(merged.tip)),
            date=int(self.owed.recorded.time),
        )

    async def _broken(self, made: Squashed, source: Source) -> str | None:
        """Which tests fail for the revert alone, as a sentence; `None` when none does."""
        base = self.owed.merged.base
        if made.tree == await self.quarantine.tree_of(base):
            return None
        failing = await self._failing(made.commit)
        for excuse in (base, source.tip):
            if failing:
                failing -= await self._failing(excuse)
        if failing:
            failing &= await self._failing(made.commit)
        if not failing:
            return None
        return f"without the change these fail that fail neither before it nor now: {_named(sorted(failing))}"

    async def _failing(self, commit: str) -> set[str]:
        """What fails on a commit: tests, whole modules, or all of them with the reason why."""
        known = self.baselines.find(commit, self.trial.policy)
        found = known or Outcomes.of(await self.trial.tests(commit, {}, ()))
        if found.unmeasured is not None:
            return {UNMEASURED}
        return {*found.failing(), *found.broken, *({ALL_BROKEN} if found.is_all_broken else ())}


def revert_message(owed: Rollback, subject: str) -> str:
    """A conventional message that names the reverted commit, the reason and the run."""
    first = one_line(subject.partition("\n")[0])
    reason = one_line(owed.ordered.reason, 1000)
    why = f"Why ({owed.ordered.why}, by {one_line(owed.ordered.by)}): {reason}"
    trailers = f"Rung-Run: {owed.started.run}\nRung-Reverts: {owed.merged.tip}"
    told = (f"This reverts commit {owed.merged.tip}.", why, trailers)
    return "\n\n".join((one_line(f"revert: {first}", SUBJECT_LIMIT), *told)) + "\n"


def _reverted(owed: Rollback, tip: str) -> ChangeReverted:
    return ChangeReverted(
        run=owed.started.run, tip=tip, reverts=owed.merged.tip, reason=owed.ordered.reason, why=owed.ordered.why
    )


def _refused(owed: Rollback, code: str, message: str) -> ChangeRefused:
    return ChangeRefused.model_validate(
        {
            "run": owed.started.run,
            "attempt": owed.attempt,
            "commit": owed.merged.tip,
            "base": owed.merged.base,
            "code": code,
            "message": message,
        }
    )


def _named(names: tuple[str, ...] | list[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
