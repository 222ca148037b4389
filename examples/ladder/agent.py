"""The agent of the ladder: delivers the patch that was prepared for the issue at hand, as a real agent would.

Started by Rung in its sandbox with the file of prepared patches as its only argument; it thinks nothing.
"""

import json
import os
import re
import sys
from pathlib import Path


def main() -> None:
    prepared = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    given = Path(os.environ["RUNG_IN"])
    issue = json.loads((given / "issue.json").read_text(encoding="utf-8"))
    number = re.findall(r"\(#(\d+)\)", issue["title"])[-1]
    deliver(prepared[number], is_sent_back=os.environ["RUNG_ATTEMPT"] != "1")


def deliver(patch: dict[str, dict[str, str | None]], *, is_sent_back: bool) -> None:
    match os.environ["RUNG_PHASE"]:
        case "plan":
            sys.stdout.write(str(patch["plan"]["text"]))
        case "build":
            write(patch["sent_back"] if is_sent_back and patch["sent_back"] else patch["build"])
        case "document":
            changelog = Path("CHANGELOG.md")
            heading, line = str(patch["changelog"]["heading"]), str(patch["changelog"]["line"])
            changelog.write_text(changelog.read_text(encoding="utf-8").replace(heading, heading + line, 1))
        case _:
            pass


def write(files: dict[str, str | None]) -> None:
    for name, content in files.items():
        path = Path(name)
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
