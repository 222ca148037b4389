"""The last step before a branch moves: run and ladder are read to the head, and only then is anything landed."""

from libs.contracts.history import History, fence_for
from libs.contracts.subjects import ladder_filter, run_filter
from libs.runtime.log import Conflict, Log, LogUnavailable
from libs.runtime.shell import Shell
from libs.runtime.telemetry import span
from services.merger.decider import owed_landing, stop
from services.merger.effects import land


async def answer_authorisation(shell: Shell, run: str) -> None:
    """Land what is authorised, once; a repeat finds the answer in the log, or the branch moved already."""
    history = await to_the_head(shell.log, run_filter(run))
    if (owed := owed_landing(history)) is None:
        return
    with span(f"{shell.service} merge", parent=owed.recorded.traceparent, run=run):
        ladder = await to_the_head(shell.log, ladder_filter(owed.started.workflow))
        fact = await land(
            shell.settings.repository(owed.started.workflow), owed.started, owed.authorised, stop(owed, ladder)
        )
        try:
            await shell.log.append(
                fact, cause=owed.recorded.id, fence=fence_for(fact, history), traceparent=owed.recorded.traceparent
            )
        except Conflict:
            await answer_authorisation(shell, run)


async def to_the_head(log: Log, subjects: str) -> History:
    """A history that holds all that the stream's leader has; a reader that lags behind is asked again later."""
    history = await log.read(subjects)
    if (head := await log.head(subjects)) > history.head:
        raise LogUnavailable(f"the reader of {subjects} is behind the leader: {history.head} of {head}")
    return history
