"""Wiring of the gatekeeper."""

from collections.abc import Awaitable, Callable

from libs.runtime.settings import SettingUnusable
from libs.runtime.shell import Inlet, Shell
from services.gatekeeper.api import Queries, register
from services.gatekeeper.database import DatabaseUnusable
from services.gatekeeper.keeper import Keeper
from services.gatekeeper.projection import Projection


def build(shell: Shell) -> Callable[[], Awaitable[None]]:
    try:
        projection = Projection(shell.settings.database_url)
    except DatabaseUnusable as unusable:
        raise SettingUnusable(f"RUNG_DATABASE_URL: {unusable}") from unusable
    keeper = Keeper(shell, projection, shell.settings.people, shell.settings.operator.promotion)
    register(shell.broker, Queries(shell, projection))
    shell.listen(Inlet("FACTS", "gatekeeper", keeper.on_fact))
    shell.listen(Inlet("INTAKE", "gatekeeper", keeper.on_request))
    shell.listen(Inlet("TIMERS", "gatekeeper", keeper.on_timer))
    shell.listen(Inlet("FACTS", "projection", keeper.on_projection))
    return keeper.run
