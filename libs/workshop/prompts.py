"""Prompts for agents: one template per phase, with the framework's `${variables}`, overridable per repository.

Theory: a template is trusted text, what is filled in is not. All of it happens in one pass over
the template, so a value that holds `${plan_artifact}` stays as it is. Lines `<<<DATA` and
`DATA>>>` of a template become a boundary that depends on the values, so that no value can hold
it and end its own block.
"""

import difflib
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from libs.contracts.words import Phase
from libs.contracts.workflow import Tool

VARIABLES: Final = frozenset(
    {
        *("raw_request", "intent_artifact", "issue_title", "issue_description", "plan_artifact"),
        *("build_artifact", "build_report", "test_results", "test_report", "review_results", "review_verdict"),
        *("doc_artifact", "deploy_report", "previous_patches", "failures", "guidance", "attempt"),
        *("branch_name", "target_branch", "workflow_id", "project_name"),
    }
)
"""Names that every template may use; a repository may add its own."""

SAME: Final = (
    ("build_artifact", "build_report"),
    ("test_results", "test_report"),
    ("review_results", "review_verdict"),
    ("raw_request", "issue_description"),
)
"""Pairs of names for one thing; where only one is given, the other says the same."""

DEEDS: Final = {
    Tool.READ: "read files of the working directory",
    Tool.SEARCH: "search in them",
    Tool.EXECUTE: "execute programs",
    Tool.WRITE: "write files of the working directory",
}
"""The tools of a workflow in words."""

NOTHING: Final = "(none)"
TEMPLATE_BYTES_MAX: Final = 256 * 2**10

_SLOT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|^<<<DATA$|^DATA>>>$", re.MULTILINE)


class TemplateRefused(ValueError):
    """A template that cannot be filled in; the message names file, line and what is wrong."""


def render(
    phase: Phase,
    variables: Mapping[str, str],
    override: str | None = None,
    *,
    name: str | None = None,
    addition: str | None = None,
    addition_name: str | None = None,
) -> str:
    """The prompt of a phase; `override` is a repository's own template, and `addition` one that follows it.

    The names are what to call them in a refusal. A variable that is known and not given reads `(none)`.
    Raises: TemplateRefused for a variable that nobody knows.
    """
    template = default_template(phase) if override is None else override
    require_known_variables(template, name or f"{phase.value}.md", variables)
    if addition is not None:
        require_known_variables(addition, addition_name or f"{phase.value}.md (addition)", variables)
        template = f"{template.rstrip()}\n\n{addition}"
    values = _with_other_names(variables)
    boundary = _boundary(values)

    def fill(slot: re.Match[str]) -> str:
        if slot[1] is None:
            return f"<<<{boundary}" if slot[0].startswith("<") else f"{boundary}>>>"
        return values.get(slot[1], "").strip() or NOTHING

    return _SLOT.sub(fill, template)


def permissions(
    tools: Collection[Tool],
    *,
    execute_allowlist: Sequence[str] = (),
    deny_reasons: Mapping[Tool, str] | None = None,
    cost_limit: str = "",
) -> str:
    """What the agent may and may not do in this phase, and may spend, as the last section of its prompt."""
    reasons = deny_reasons or {}
    may = [f"- {DEEDS[tool]}" for tool in Tool if tool in tools]
    may_not = [
        f"- {DEEDS[tool]}{f': {reasons[tool]}' if reasons.get(tool) else ''}" for tool in Tool if tool not in tools
    ]
    listed = [f"- `{command}`" for command in execute_allowlist] if Tool.EXECUTE in tools else []
    return "\n".join(
        (
            "# What you may do",
            *_listing("In this phase you may:", may),
            *_listing("You may not:", may_not),
            *_listing("Run no other programs than these:", listed),
            *([f"\nThis attempt may cost at most {cost_limit} US dollars."] if cost_limit else []),
            "",
        )
    )


def _listing(heading: str, lines: Sequence[str]) -> tuple[str, ...]:
    return ("", heading, "", *lines) if lines else ()


def require_known_variables(template: str, name: str, own: Collection[str] = ()) -> None:
    """Refuse a template with a variable that is neither the framework's nor among the repository's `own`."""
    if len(template) > TEMPLATE_BYTES_MAX:
        raise TemplateRefused(f"{name}: a template of more than {TEMPLATE_BYTES_MAX // 2**10} KiB is refused.")
    known = VARIABLES | set(own)
    for slot in _SLOT.finditer(template):
        if slot[1] is not None and slot[1] not in known:
            line = template.count("\n", 0, slot.start()) + 1
            raise TemplateRefused(f"{name}:{line}: there is no variable ${{{slot[1]}}}{_nearest(slot[1], known)}.")


@cache
def default_template(phase: Phase) -> str:
    return Path(__file__).with_suffix("").joinpath(f"{phase.value}.md").read_text(encoding="utf-8")


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    return f"; the nearest is ${{{near[0]}}}" if near else ""


def _with_other_names(variables: Mapping[str, str]) -> dict[str, str]:
    values = dict(variables)
    for one, other in SAME:
        for given, wanted in ((one, other), (other, one)):
            if given in variables:
                values.setdefault(wanted, variables[given])
    return values


def _boundary(values: Mapping[str, str]) -> str:
    """A word that depends on all values, so that none of them can have been written to hold it."""
    whole = "\0".join(f"{name}={values[name]}" for name in sorted(values))
    return f"DATA-{hashlib.sha256(whole.encode('utf-8', 'replace')).hexdigest()[:16]}"
