"""Which agent worked on a run, as far as its record may be carried over to the next run."""

import hashlib
import json
import re
from typing import Final

from libs.contracts.facts import RunStarted
from libs.contracts.words import AGENTS_WORK
from services.gatekeeper.budget import agent_named

PATCH_VERSION: Final = re.compile(r"(?<![\d.])(\d+\.\d+)(?:\.\d+)+(?:[a-z0-9.+-]*)")
NAME_LIMIT: Final = 40


def agent_identity(started: RunStarted) -> str:
    """The agents of all phases with their models and prompts, as one name.

    Other prompts or another model are another agent; another patch version of the same program is not.
    """
    phases = [phase for phase in AGENTS_WORK if phase in started.phases]
    agents = {phase: PATCH_VERSION.sub(r"\1", agent_named(started, phase)) for phase in phases}
    stated = [started.policy.phases.get(phase) for phase in phases]
    prompts = [name for one in stated if one for name in (one.template, one.addition) if name]
    text = json.dumps([agents, [(name, started.policy.prompts.get(name)) for name in prompts]], sort_keys=True)
    name = re.sub(r"[^A-Za-z0-9:/._-]+", "_", next(iter(dict.fromkeys(agents.values())), started.agent))[:NAME_LIMIT]
    return f"{name}#{hashlib.sha256(text.encode()).hexdigest()[:8]}"
