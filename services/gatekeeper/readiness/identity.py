"""Which agent worked on a run, as far as its record may be carried over to the next run."""

import hashlib
import json
import re
from posixpath import basename
from typing import Final

from libs.contracts.facts import RunStarted
from libs.contracts.words import AGENTS_WORK
from services.gatekeeper.budget import agent_named

PATCH_VERSION: Final = re.compile(
    r"(?<![\d.])(\d+\.\d+)(?:\.\d+)+"
    r"(?:[.-]?(?:alpha|beta|rc|pre|preview|dev|post|a|b|c)[.-]?\d+(?:\.\d+)*)*(?:\+[a-z0-9.]+)?(?![\d.]*:\d)"
)
"""A version of three or more numbers, with what may follow it before a release; other words behind it are names."""
NAME_LIMIT: Final = 40
WORDS_SHOWN: Final = 2


def agent_identity(started: RunStarted) -> str:
    """The agents of all phases with their models and prompts, as one name.

    Other prompts or another model are another agent; another patch version of the same program is not, and neither
    is the same agent on another route.
    """
    phases = [phase for phase in AGENTS_WORK if phase in started.policy.phases]
    agents = {phase: PATCH_VERSION.sub(r"\1", agent_named(started, phase)) for phase in phases}
    stated = [started.policy.phases[phase] for phase in phases]
    prompts = [name for one in stated for name in (one.template, one.addition) if name]
    text = json.dumps([agents, [(name, started.policy.prompts.get(name)) for name in prompts]], sort_keys=True)
    first = next(iter(agents.values()), started.agent)
    return f"{_short(first)}#{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _short(agent: str) -> str:
    """The driver and the names of the program and its script, for people."""
    kind, _, command = agent.partition(":")
    words = [basename(word) for word in command.split()[:WORDS_SHOWN]]
    return re.sub(r"[^A-Za-z0-9:._-]+", "_", ":".join((kind, "_".join(words))).rstrip(":"))[:NAME_LIMIT]
