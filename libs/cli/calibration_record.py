"""Has the result of a calibration written into the log of a running system."""

import json
from typing import Any

from libs.cli.connection import Connection
from libs.cli.laddering import ask
from libs.contracts.requests import Calibration, LadderKind, workflow_id


async def recorded(connection: Connection, told: dict[str, Any], by: str) -> dict[str, Any]:
    """Store the report and ask for the fact; returned is where it stands.

    Raises:  Ended when the gatekeeper refused it, Unreachable when no answer came in time.
    """
    content = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    workflow, digest = workflow_id(told["repository"]), await connection.artifacts.put(content)
    counted = _counted(told)
    answer = await ask(connection, workflow, LadderKind.CALIBRATE, by=by, digest=digest, calibration=counted)
    return {"request": answer.cause, "workflow": workflow, "report": digest, "sequence": answer.sequence}


def _counted(told: dict[str, Any]) -> Calibration:
    rate, passed = told["catch_rate"], told["passed"]
    return Calibration(
        gates_digest=told["gates_digest"],
        commit=told["commit"],
        seeded=rate["seeded_bad"],
        caught=rate["seeded_caught"],
        good=passed["good"],
        passed=passed["passed"],
    )
