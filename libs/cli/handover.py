"""Hands a run over by itself when a machine can do no more: its bundle is written where a person finds it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from libs.cli.bundle import bundle, write
from libs.cli.connection import Connection, default_data
from libs.cli.ending import Misused
from libs.cli.screen import Screen
from libs.contracts.facts import RunEscalated
from libs.contracts.views import RunView
from libs.contracts.wire import Recorded
from libs.contracts.words import Outcome, Phase

Place = tuple[str, Phase | None, int]


@dataclass
class HandOver:
    """Writes `<data>/bundles/<run>/` once for each place where the run stopped; `path` is where, once it is written."""

    data: Path | None
    screen: Screen
    path: Path | None = None
    _called: set[tuple[Phase, int]] = field(default_factory=set)
    _told: Place | None = None

    def note(self, news: Iterable[Recorded]) -> None:
        """Remember for which attempts a human was called."""
        self._called |= {(r.fact.phase, r.fact.attempt) for r in news if isinstance(r.fact, RunEscalated)}

    async def offer(self, connection: Connection, view: RunView) -> None:
        """Write the bundle if the run has stopped in a place of which nobody was told yet."""
        place = self._stopped_at(view)
        if place is None or place == self._told:
            return
        told = await bundle(connection, view.run)
        self._told = place
        output = (self.data or default_data()).absolute() / "bundles" / view.run
        try:
            output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(output, told, is_private=True)
        except OSError as error:
            self.screen.progress(f"The run's bundle cannot be written to {output}: {error.strerror}.", "yellow")
        except Misused as misused:
            self.screen.progress(str(misused), "yellow")
        else:
            self.path = output
            self.screen.progress(f"All that is known of this run: {output / 'bundle.md'}", "yellow")

    def _stopped_at(self, view: RunView) -> Place | None:
        """Where the run ended by itself, or waits because a gate did not pass or a human was called."""
        if view.outcome == "aborted":
            return ("aborted", None, view.sequence)
        if view.outcome != "waiting" or (asked := view.checkpoint) is None:
            return None
        is_called = (asked.phase, asked.attempt) in self._called
        is_failed = asked.outcome not in (Outcome.PASS, Outcome.WARN)
        return ("waiting", asked.phase, asked.attempt) if is_called or is_failed else None
