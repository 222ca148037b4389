"""How long large reports take to be read, and in how much memory: `python -m tests.bench.reports [megabytes]`.

A JUnit suite of 20,000 tests and a SARIF file of 50 MB are read in one process, and the same files
are parsed bare, by the parsers of the standard library, in another. Nothing is asserted: the figures
are for people to compare.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import fromstring

TESTS: Final = 20_000
MEGABYTES: Final = 50
WAYS: Final = ("readers", "bare")


def write_junit(path: Path) -> None:
    cases = "".join(
        f'<testcase classname="tests.test_{number % 400}" name="test_{number}[case-{number}]" time="0.0{number % 10}">'
        + ('<failure message="assert 1 == 2">def test(): assert 1 == 2</failure>' if number % 100 == 0 else "")
        + "<system-out>some words of output</system-out></testcase>\n"
        for number in range(TESTS)
    )
    failures = TESTS // 100
    path.write_text(
        f'<testsuites><testsuite name="s" tests="{TESTS}" failures="{failures}">{cases}</testsuite></testsuites>'
    )


def write_sarif(path: Path, megabytes: int) -> None:
    """As an analyser of many rules writes it, indented, with places, fingerprints and a flow."""
    rules = [
        {"id": f"R{number}", "properties": {"tags": ["security"], "security-severity": "5"}} for number in range(300)
    ]
    head = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint", "rules": rules}}, "results": []}]}
    before, after = json.dumps(head).split('"results": []')
    size, number = 0, 0
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{before}"results": [')
        while size < megabytes * 2**20:
            size += file.write((",\n" if number else "") + json.dumps(_result(number), indent=1))
            number += 1
        file.write(f"]{after}")


def _result(number: int) -> dict[str, object]:
    region = {"startLine": number % 900 + 1, "startColumn": 5, "endLine": number % 900 + 1, "endColumn": 40}
    place = {"physicalLocation": {"artifactLocation": {"uri": f"src/pkg/module_{number % 900}.py"}, "region": region}}
    return {
        "ruleId": f"R{number % 300}",
        "ruleIndex": number % 300,
        "level": "warning",
        "message": {"text": f"The value of name_{number} comes from outside and reaches a place that trusts it."},
        "locations": [place],
        "partialFingerprints": {"primaryLocationLineHash": f"{number:016x}:1"},
        "codeFlows": [{"threadFlows": [{"locations": [{"location": place}]}]}],
    }


def measure(way: str, junit: Path, sarif: Path) -> None:
    """In a process of its own, so that the memory is that of this way alone."""
    from libs.workshop.evidence.junit import read_junit
    from libs.workshop.evidence.sarif import read_sarif

    base = _peak_mib()
    for name, path in (("junit", junit), ("sarif", sarif)):
        data = path.read_bytes()
        begun, cpu = time.perf_counter(), time.process_time()
        if way == "readers":
            count = len(read_junit(data)) if name == "junit" else len(read_sarif(data))
        else:
            count = len(fromstring(data)[0]) if name == "junit" else len(json.loads(data)["runs"][0]["results"])  # noqa: S314
        wall, used = time.perf_counter() - begun, time.process_time() - cpu
        print(  # noqa: T201 - a bench prints
            f"{way:8} {name}: {len(data) / 2**20:5.1f} MiB, {count:6} entries, {wall:.2f} s (cpu {used:.2f} s), "
            f"peak {_peak_mib():.0f} MiB (was {base:.0f} MiB)",
            flush=True,
        )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if len(sys.argv) == 4:
        measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as directory:
        junit, sarif = Path(directory, "junit.xml"), Path(directory, "big.sarif")
        write_junit(junit)
        write_sarif(sarif, int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES)
        for way in WAYS:
            subprocess.run([sys.executable, "-m", "tests.bench.reports", way, str(junit), str(sarif)], check=True)


if __name__ == "__main__":
    main()
