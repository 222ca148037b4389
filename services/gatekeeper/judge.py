"""`python -m services.gatekeeper.judge` judges evidence without any service: a question on stdin, a verdict on stdout.

The question is one JSON object: `policy` and `evidence` as in the facts, `phase`, and `team` where one is meant.
With `--lines` each line is a question, answered at once by one line; one that makes no sense by an `error`.
"""

import json
import sys
from typing import Any, Final

from libs.contracts.evidence import Evidence
from libs.contracts.verdict import Verdict
from libs.contracts.words import Phase
from libs.contracts.workflow import Policy
from services.gatekeeper.gates import verdict_of

LINES: Final = "--lines"


def judged(question: dict[str, Any]) -> Verdict:
    """What the gate after a phase says of the evidence.

    Raises:  KeyError, ValueError for a question that lacks something.
    """
    policy = Policy.model_validate(question["policy"]).for_team(question.get("team"))
    return verdict_of(policy, Phase(question["phase"]), Evidence.model_validate(question["evidence"]))


def answer(line: str) -> str:
    """The verdict on the question of one line, or what is wrong with it, on one line."""
    try:
        return judged(json.loads(line)).model_dump_json()
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


def _judge_lines() -> None:
    for line in sys.stdin:
        sys.stdout.write(f"{answer(line)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if LINES in sys.argv[1:]:
        _judge_lines()
    else:
        sys.stdout.write(judged(json.load(sys.stdin)).model_dump_json())
