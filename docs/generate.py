"""Writes the documents that are made from code, or with `--check` says which of them are stale.

docs/run.md                the stages of a run, from the gatekeeper's transition table
docs/dispositions.md       who decides after a verdict: phase, outcome and level
docs/criteria.md           what a gate may ask, and what is found unasked
docs/asyncapi.yaml         every fact and request on the bus, from the contracts, by FastStream
docs/workflow.schema.json  what `workflow.yaml` may hold, from the tables that its reader uses
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml
from faststream.nats import NatsBroker
from faststream.specification import AsyncAPI

from libs.contracts.criteria import CRITERIA, CriterionSpec, Form
from libs.contracts.facts import FACTS, PHASE_ANSWERS, SPEAKERS, Fact
from libs.contracts.requests import DecisionRequest, IssueRequest, LadderRequest
from libs.contracts.subjects import INTAKE_DECISION, INTAKE_ISSUE, INTAKE_LADDER, pattern
from libs.contracts.verdict import Verdict
from libs.contracts.wire import kind_of
from libs.contracts.words import Level, Outcome, Phase
from libs.contracts.workflow.schema import workflow_schema
from services.gatekeeper.dispositions import PROFILES, dispose
from services.gatekeeper.gates import FOUL_PLAY
from services.gatekeeper.transitions import SILENT, diagram

HERE: Final = Path(__file__).parent


def run_document() -> str:
    """The transition table as a picture, and the events that move nothing."""
    silent = "\n".join(f"- `{event}`" for event in sorted(SILENT))
    return (
        "# The stages of a run\n\n"
        "Made from `services/gatekeeper/transitions.py` by `make diagram`; do not edit.\n\n"
        f"```mermaid\n{diagram()}```\n\n"
        "These events are true wherever they come and move no run:\n\n"
        f"{silent}\n\n"
        "Any other event in a stage does not fit: it is counted, shown, and changes nothing.\n"
    )


def dispositions_document() -> str:
    """What each level does with each outcome after each phase, once healing is exhausted."""
    head = "| phase | outcome | " + " | ".join(Level) + " |\n|---|---|" + "---|" * len(Level)
    rows = [
        f"| {phase} | {outcome} | " + " | ".join(_disposed(level, phase, outcome) for level in Level) + " |"
        for phase in PROFILES
        for outcome in Outcome
    ]
    return (
        "# Who decides after a verdict\n\n"
        "Made from `services/gatekeeper/dispositions.py` by `make diagram`; do not edit.\n\n"
        "A `fail` comes here when it is not healed (any more); at `assisted` healing happens only when a human says\n"
        "so. After deploy, `proceed` is the merge by itself, where the workflow enables it, test and review passed,\n"
        "and no gate was silent; at `autonomous` a change whose tests are known to be red waits for an override.\n\n"
        f"{head}\n" + "\n".join(rows) + "\n"
    )


def _disposed(level: Level, phase: Phase, outcome: Outcome) -> str:
    return dispose(level, phase, Verdict(outcome=outcome), can_heal=False).disposition


def criteria_document() -> str:
    """Every criterion: where it may be asked, what it reads, and what it asks; and what no criterion has to ask."""
    rows = [
        f"| `{spec.name}` | {_form(spec)} | {', '.join(spec.phases)} | {', '.join(spec.evidence) or 'nothing yet'} |"
        f" {f'the same as `{spec.same_as}`' if spec.same_as else spec.meaning} |"
        for spec in CRITERIA.values()
    ]
    guards = "\n".join(f"- `{code}`" for code in FOUL_PLAY)
    return (
        "# Criteria\n\n"
        "Made from `libs/contracts/criteria.py` and `services/gatekeeper/gates.py` by `make diagram`; do not edit.\n\n"
        "A value that was not measured is `no_data`, never a pass. How to write limits: [workflow.md](workflow.md).\n\n"
        "| criterion | form | after | reads | holds when |\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "These are found whatever a workflow asks, fail the gate, and pass only by a human's override:\n\n"
        f"{guards}\n"
    )


def _form(spec: CriterionSpec) -> str:
    if spec.form is Form.BOOL:
        return "true"
    return f"{'at least' if spec.form is Form.MIN else 'at most'}, {spec.unit}"


def asyncapi_document() -> str:
    """Facts as what Rung sends, requests as what it receives."""
    broker = NatsBroker("nats://localhost:4222")
    for fact in sorted(FACTS, key=kind_of):
        broker.publisher(pattern(fact), schema=fact, title=kind_of(fact), description=_described(fact))

    @broker.subscriber(f"{INTAKE_ISSUE}.*", title="request.issue", description="Ask for a run on an issue.")
    async def issue(request: IssueRequest) -> None: ...

    @broker.subscriber(f"{INTAKE_DECISION}.*", title="request.decision", description="Decide on a run.")
    async def decision(request: DecisionRequest) -> None: ...

    @broker.subscriber(f"{INTAKE_LADDER}.*", title="request.ladder", description="Ask about a workflow's ladder.")
    async def ladder(request: LadderRequest) -> None: ...

    specification = AsyncAPI(broker, schema_version="3.0.0", title="Rung", version="1").to_specification()
    return yaml.safe_dump(specification.to_jsonable(), sort_keys=True, allow_unicode=True)  # FastStream keeps no order


def _described(fact: type[Fact]) -> str:
    speakers = [service for service, facts in SPEAKERS.items() if fact in facts]
    stated = speakers[0] if speakers else "whoever works the phase" if fact in PHASE_ANSWERS else "nobody"
    doc = " ".join((fact.__doc__ or "").split()) if "__doc__" in vars(fact) and fact.__doc__ else ""
    return f"{doc} Stated by: {stated}. Version {fact.version}.".strip()


def schema_document() -> str:
    return json.dumps(workflow_schema(), indent=2) + "\n"


DOCUMENTS: Final[dict[str, Callable[[], str]]] = {
    "run.md": run_document,
    "dispositions.md": dispositions_document,
    "criteria.md": criteria_document,
    "asyncapi.yaml": asyncapi_document,
    "workflow.schema.json": schema_document,
}


def main(arguments: list[str]) -> int:
    is_check = arguments == ["--check"]
    texts = {HERE / name: make() for name, make in DOCUMENTS.items()}
    stale = {path: text for path, text in texts.items() if _is_stale(path, text)}
    for path, text in stale.items():
        if is_check:
            print(f"docs/{path.name} is stale; run `make diagram`", file=sys.stderr)  # noqa: T201 - a command's answer
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if is_check and stale else 0


def _is_stale(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
