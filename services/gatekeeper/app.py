"""Wiring of the gatekeeper."""

from collections.abc import Awaitable, Callable

from libs.runtime.shell import Inlet, Shell
from services.gatekeeper.api import Queries, register
from services.gatekeeper.keeper import Keeper
from services.gatekeeper.projection import Projection


def build(shell: Shell) -> Callable[[], Awaitable[None]]:
    projection = Projection(shell.settings.database_url)
    keeper = Keeper(shell, projection)
    register(shell.broker, Queries(shell, projection))
    shell.listen(Inlet("FACTS", "gatekeeper", keeper.on_fact))
    shell.listen(Inlet("INTAKE", "gatekeeper", keeper.on_decision))
    shell.listen(Inlet("TIMERS", "gatekeeper", keeper.on_timer))
    shell.listen(Inlet("FACTS", "projection", keeper.on_projection))
    return keeper.sweep
