"""`python -m services.gatekeeper.judge` judges evidence without any service: a question on stdin, a verdict on stdout.

The question is one JSON object: `policy` and `evidence` as in the facts, `phase`, and `team` where one is meant.
"""

import json
import sys
from typing import Any

from libs.contracts.evidence import Evidence
from libs.contracts.verdict import Verdict
from libs.contracts.words import Phase
from libs.contracts.workflow import Policy
from services.gatekeeper.gates import verdict_of


def judged(question: dict[str, Any]) -> Verdict:
    """What the gate after a phase says of the evidence.

    Raises:  KeyError, ValueError for a question that lacks something.
    """
    policy = Policy.model_validate(question["policy"]).for_team(question.get("team"))
    return verdict_of(policy, Phase(question["phase"]), Evidence.model_validate(question["evidence"]))


if __name__ == "__main__":
    sys.stdout.write(judged(json.load(sys.stdin)).model_dump_json())
