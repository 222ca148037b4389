"""What runs inside the sandbox after an agent ended: commits what is left and writes a bundle of it.

The agent may have left anything: its own commits, another branch, lock files, hostile settings.
Whatever those do, they do inside the sandbox; only the bundle comes out, and is checked then.
"""

from collections.abc import Sequence
from typing import Final

from libs.workshop.git.command import ENVIRONMENT, SETTINGS

CANDIDATE_REF: Final = "refs/heads/rung/candidate"
NOTHING_CHANGED: Final = 3
"""Exit code of the script when there is nothing to bundle."""

BUNDLE: Final = "/out/candidate.bundle"

DROPPINGS: Final = (
    *("__pycache__/", "*.py[cod]", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/"),
    *(".coverage", ".coverage.*", ".aider*", ".DS_Store", "*.swp"),
)
"""Untracked files that tools drop and no change means to add."""

SCRIPT: Final = r"""
base=$1 bundle=$2 droppings=$3 ref=$4
fail() { echo "The agent's repository cannot be used: $1." >&2; exit 1; }
top=$(git rev-parse --show-toplevel 2>/dev/null) || fail "there is no git repository left"
[ "$top" = "$(pwd -P)" ] || fail "there is no git repository left at its root"
rm -f .git/index.lock .git/HEAD.lock .git/config.lock .git/shallow.lock
find .git/refs -name '*.lock' -exec rm -f {} + 2>/dev/null
git cat-file -e "$base^{commit}" || fail "it has lost the commit that it began with"
printf '%s' "$droppings" > "$TMPDIR/droppings"
add() { git -c core.excludesFile="$TMPDIR/droppings" add -A; }
add 2>/dev/null || { chmod -R u+rwX . && add; } || { rm -f .git/index && add; } || fail "its files cannot be added"
git diff-index --cached --quiet HEAD 2>/dev/null || git commit -q --no-verify --allow-empty-message -m 'Leftovers' \
  || fail "its files cannot be committed"
tip=$(git rev-parse --verify -q 'HEAD^{commit}') || fail "it has no commit"
before=$(git rev-parse --verify -q "$base^{tree}") \
  && after=$(git rev-parse --verify -q "$tip^{tree}") || fail "it is broken"
[ "$before" != "$after" ] || exit 3
git merge-base --is-ancestor "$base" "$tip" \
  || tip=$(git commit-tree "$tip^{tree}" -p "$base" -m 'All that was left') || fail "its files cannot be committed"
objects=$(git rev-parse --path-format=absolute --git-path objects) && out="$TMPDIR/leaving"
git init -q --bare --template= --object-format="$(git rev-parse --show-object-format)" "$out" || fail "it is unreadable"
echo "$objects" > "$out/objects/info/alternates" && export GIT_DIR="$out"
git update-ref "$ref" "$tip" && git bundle create -q "$bundle" "$base..$ref" || fail "no bundle can be made"
"""
"""The bundle is made in a repository of its own over the agent's objects, so that it holds one reference and no setting
of the agent's names it. A HEAD that does not build on the base is put on it as one commit."""


def leave_argv(base: str, *, bundle: str = BUNDLE, droppings: Sequence[str] = DROPPINGS) -> list[str]:
    """The command to run in the agent's clone, inside the sandbox, with `bundle` in a writable mount.

    Exit codes: 0 the bundle is written, 3 nothing changed and there is none, else the last line of
    standard error says why not.
    """
    environment = [f"{name}={value}" for name, value in {**ENVIRONMENT, **_settings()}.items()]
    return [
        "/usr/bin/env",
        *environment,
        "/bin/sh",
        "-c",
        SCRIPT,
        "leave",
        base,
        bundle,
        "\n".join(droppings),
        CANDIDATE_REF,
    ]


def _settings() -> dict[str, str]:
    """The hardened settings as git reads them from the environment; the script needs its own list of droppings."""
    kept = [setting.split("=", 1) for setting in SETTINGS if not setting.startswith("core.excludesFile=")]
    numbered = {
        f"GIT_CONFIG_{part}_{n}": text
        for n, pair in enumerate(kept)
        for part, text in zip(("KEY", "VALUE"), pair, strict=True)
    }
    return {"GIT_CONFIG_COUNT": str(len(kept)), **numbered}
