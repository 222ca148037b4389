"""A repository whose tests take no time, and agents that do at each attempt what a test says.

All is shell, so that a run takes as long as Rung itself. The program gives the area of a rectangle and
adds where it should multiply; its check really runs it and writes a JUnit report, its linter SARIF.
"""

from pathlib import Path
from typing import Final

from tests.support.repositories import Case, repository

CODE: Final = "area.sh"
DEFECT: Final = "width + height"

FILES: Final = {
    CODE: f"""\
        #!/bin/sh
        # The area of a rectangle.
        width=$1
        height=$2
        # Both are whole numbers.
        echo $(({DEFECT}))
        """,
    "check.sh": """\
        #!/bin/sh
        # Compares areas with what they have to be.
        status=0
        for rectangle in "3 4 12" "2 5 10"; do
          set -- $rectangle
          area=$(sh area.sh "$1" "$2")
          failure=
          if [ "$area" != "$3" ]; then
            status=1
            failure="<failure message=\\"$area, not $3\\"/>"
          fi
          cases="$cases<testcase classname=\\"area\\" name=\\"of $1 by $2\\">$failure</testcase>"
        done
        echo "<testsuite name=\\"area\\">$cases</testsuite>" > report.xml
        exit $status
        """,
    "lint.sh": """\
        #!/bin/sh
        # Finds every line that holds eval.
        results=
        for line in $(grep -n eval area.sh | cut -d: -f1); do
          place="{\\"artifactLocation\\": {\\"uri\\": \\"area.sh\\"}, \\"region\\": {\\"startLine\\": $line}}"
          finding="{\\"ruleId\\": \\"no-eval\\", \\"level\\": \\"error\\", \\"message\\": {\\"text\\": \\"eval\\"}"
          results="${results:+$results, }$finding, \\"locations\\": [{\\"physicalLocation\\": $place}]}"
        done
        rule='{"id": "no-eval", "properties": {"security-severity": "9.8"}}'
        driver="\\"tool\\": {\\"driver\\": {\\"name\\": \\"no-eval\\", \\"rules\\": [$rule]}}"
        echo "{\\"version\\": \\"2.1.0\\", \\"runs\\": [{$driver, \\"results\\": [$results]}]}" > lint.sarif
        """,
}
WORKFLOW: Final = """\
commands: { test: sh check.sh, lint: sh lint.sh }
reports: { junit: [report.xml], sarif: [lint.sarif] }
"""
TITLE: Final = "The area of a rectangle is wrong"
BODY: Final = "A rectangle of 3 by 4 has the area 12, and area.sh says 7."

AGENT: Final = """\
#!/bin/sh
answer() { sed -i "s/^echo .*/echo \\$(($1))/" area.sh; }
told() { grep -q "$1" "$RUNG_IN/$2" 2>/dev/null; }
case "$RUNG_PHASE-$RUNG_ATTEMPT" in
  plan-*) echo 'Change `area.sh`: the area of a rectangle is wrong' ;;
  document-*) printf '# Changelog\\n\\n- The area is right.\\n' > CHANGELOG.md ;;
BUILDS
esac
"""

RIGHT: Final = "answer 'width * height'"
"""Both tests pass."""

ALWAYS_12: Final = "answer 12"
"""One of the two tests passes."""

WRONG: Final = "answer 'height + width'"
"""Both tests fail, as before."""

EVAL: Final = "answer 'width * height'; sed -i '$ s/$/ # eval/' area.sh"
"""Both tests pass, and the linter finds a blocker."""

LEARNS: Final = f"""\
if told 'of 3 by 4' failures.md; then {ALWAYS_12}; elif told 'of 2 by 5' failures.md; then {RIGHT}; else {WRONG}; fi"""
"""Fails twice, and is right once it is given what failed before."""

EXITS: Final = "exit 1"
"""Fails as a program that could not reach its model does."""


def quick_repository(directory: Path, workflow: str = "") -> Case:
    """The repository, with more lines for its workflow."""
    files = {**FILES, "workflow.yaml": WORKFLOW + workflow}
    return Case("area", repository(directory, files), TITLE, BODY, changed_file=CODE)


def quick_agent(directory: Path, *builds: str, each: str = "") -> str:
    """An agent of the operator's that does at its nth build the nth of `builds`, and the last of them from then on.

    `each` is done first at every attempt at any phase. Files of the machine that the agent may read follow as
    words of the command line, where somebody adds them.
    """
    *first, last = builds
    cases = [f"  build-{number}) {build} ;;" for number, build in enumerate(first, start=1)]
    text = AGENT.replace("BUILDS", "\n".join([*cases, f"  build-*) {last} ;;"]))
    program = directory / "agent"
    program.write_text(text.replace("case ", f"{each}\ncase ", 1) if each else text)
    program.chmod(0o755)
    return f"exec:{program}"


class Barrier:
    """What an agent waits at, in the middle of its work, until a test lets it through: a file that it may read."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "barrier"
        self.file.touch()

    @property
    def wait(self) -> str:
        """The agent's command that waits."""
        return 'until grep -q open "$1"; do sleep 0.05; done'

    def shown_to(self, agent: str) -> str:
        return f"{agent} {self.file}"

    def open(self) -> None:
        """Written in place: the agent sees this very file."""
        with self.file.open("a") as file:
            file.write("open\n")
