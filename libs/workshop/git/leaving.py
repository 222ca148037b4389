"""What runs inside the sandbox after an agent: leftovers are committed and a bundle is written."""

_SCRIPT = """
base=$1
rm -f .git/index.lock
git="git -c core.hooksPath=/dev/null -c commit.gpgSign=false -c user.name=agent -c user.email=agent@localhost"
$git add --all && { $git diff --cached --quiet || $git commit --quiet --no-verify --message work; } || exit 4
test "$(git rev-parse HEAD)" != "$base" || exit 3
git update-ref refs/heads/rung/candidate HEAD || exit 4
git bundle create --quiet /out/candidate.bundle "$base..refs/heads/rung/candidate" || exit 4
"""


def leave_argv(base: str) -> list[str]:
    return ["sh", "-c", _SCRIPT, "leave", base]
