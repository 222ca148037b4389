"""Coverage reports of every format, and a change measured by them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from libs.workshop.evidence.coverage_reports import Lines, coverage_evidence, merge_coverage, read_coverage
from libs.workshop.evidence.paths import is_changelog, is_test_file
from libs.workshop.evidence.reading import Unreadable

COBERTURA = """<?xml version="1.0"?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage line-rate="0.5"><sources>{sources}</sources><packages><package name="a"><classes>
<class filename="{file}"><methods><method><lines><line number="1" hits="3"/></lines></method></methods>
<lines><line number="1" hits="3"/><line number="2" hits="0"/></lines></class>
<class filename="{file}"><lines><line number="2" hits="1"/><line number="3" hits="0"/></lines></class>
</classes></package></packages></coverage>"""

LCOV = b"TN:\nSF:/work/src/a.js\nFN:1,f\nDA:1,2\nDA:2,0\nDA:2,1\nDA:9,0,abc\nend_of_record\n"


def cobertura(file: str, *sources: str) -> bytes:
    return COBERTURA.format(file=file, sources="".join(f"<source>{source}</source>" for source in sources)).encode()


def code_of(data: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        read_coverage(data)
    return refused.value.code


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small program, run under coverage, with its reports in every format."""
    root = tmp_path_factory.mktemp("measured")
    (root / "calc.py").write_text("def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\nadd(1, 2)\n")
    for arguments in (["run", "--source=.", "calc.py"], ["json"], ["xml"], ["lcov"]):
        subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=root, check=True, capture_output=True)
    return root


@pytest.mark.parametrize("name", ["coverage.json", "coverage.xml", "coverage.lcov"])
def test_the_formats_of_coverage_py_say_the_same(measured: Path, name: str) -> None:
    lines = read_coverage((measured / name).read_bytes(), files={"calc.py"})
    assert lines == {"calc.py": Lines(frozenset({1, 2, 4, 7}), frozenset({5}))}


def test_classes_of_one_file_are_one_file_and_a_line_runs_if_any_says_so() -> None:
    assert read_coverage(cobertura("a.py", "/work")) == {"a.py": Lines(frozenset({1, 2}), frozenset({3}))}


@pytest.mark.parametrize(
    ("file", "sources", "expected"),
    [
        ("pkg/a.py", ("/work/src",), "src/pkg/a.py"),
        ("pkg/a.py", ("src",), "src/pkg/a.py"),
        ("pkg/a.py", ("/work/lib", "/work/src"), "src/pkg/a.py"),
        ("src/pkg/a.py", ("/home/me/project",), "src/pkg/a.py"),
        ("src/pkg/a.py", (), "src/pkg/a.py"),
        ("/work/src/pkg/a.py", (), "src/pkg/a.py"),
        ("src\\pkg\\a.py", (), "src/pkg/a.py"),
        ("./src/pkg/a.py", (), "src/pkg/a.py"),
    ],
)
def test_paths_are_told_from_the_checkout_s_root(file: str, sources: tuple[str, ...], expected: str) -> None:
    assert list(read_coverage(cobertura(file, *sources), files={"src/pkg/a.py", "src/b.py"})) == [expected]


def test_lcov_adds_the_hits_of_a_line_named_twice() -> None:
    assert read_coverage(LCOV) == {"src/a.js": Lines(frozenset({1, 2}), frozenset({9}))}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "coverage_empty"),
        (b"lines: 90%", "coverage_unknown_format"),
        (b'{"result": 1}', "coverage_unknown_format"),
        (b'{"files": {"a.py": ', "coverage_malformed"),
        (b'{"files": {"a.py": {"executed_lines": [1]}}}', "coverage_malformed"),
        (b'{"files": {"a.py": {"executed_lines": [true], "missing_lines": []}}}', "coverage_malformed"),
        (b'{"files": {"a.py": null}}', "coverage_malformed"),
        (b"<testsuite/>", "coverage_wrong_root"),
        (cobertura("a.py")[:-30], "coverage_malformed"),
        (cobertura("a.py").replace(b'hits="3"', b'hits="many"'), "coverage_malformed"),
        (LCOV.replace(b"end_of_record\n", b""), "coverage_malformed"),
        (LCOV.replace(b"DA:1,2", b"DA:one,2"), "coverage_malformed"),
        (b'<!DOCTYPE c [<!ENTITY a "b">]><coverage>&a;</coverage>', "coverage_unsafe"),
    ],
)
def test_what_is_broken_is_refused_whole(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_json_in_utf_16_is_read() -> None:
    tree = {"files": {"ä.py": {"executed_lines": [1], "missing_lines": []}}}
    assert list(read_coverage(json.dumps(tree, ensure_ascii=False).encode("utf-16"))) == ["ä.py"]


def test_a_change_is_measured_over_its_runnable_lines_only() -> None:
    coverage = {"a.py": Lines(frozenset({1, 2}), frozenset({3})), "b.py": Lines(frozenset({1}))}
    evidence = coverage_evidence(coverage, changed={"a.py": frozenset({2, 3, 4}), "README.md": frozenset({1})})
    assert (evidence.covered_count, evidence.lines_count) == (3, 4)
    assert (evidence.changed_covered_count, evidence.changed_lines_count) == (1, 2)


def test_without_changed_lines_nothing_is_said_of_them() -> None:
    assert coverage_evidence({"a.py": Lines(frozenset({1}))}).changed_lines_count is None


def test_files_left_out_count_nowhere() -> None:
    coverage = {"tests/test_a.py": Lines(frozenset({1})), "a.py": Lines(frozenset(), frozenset({1}))}
    evidence = coverage_evidence(coverage, changed={"tests/test_a.py": frozenset({1})}, is_left_out=is_test_file)
    assert (evidence.lines_ratio, evidence.changed_lines_count) == (0.0, 0)


def test_a_line_ran_if_any_of_several_reports_says_so() -> None:
    merged = merge_coverage(
        [{"a": Lines(frozenset({1}), frozenset({2}))}, {"a": Lines(frozenset({2}), frozenset({1, 3}))}]
    )
    assert merged == {"a": Lines(frozenset({1, 2}), frozenset({3}))}


@pytest.mark.parametrize(
    "path", ["tests/helpers.py", "pkg/test/a.py", "test_a.py", "a_test.go", "a.spec.ts", "conftest.py", "src/tests.py"]
)
def test_tests_and_their_support_are_test_files(path: str) -> None:
    assert is_test_file(path)


@pytest.mark.parametrize("path", ["src/testing.py", "attest.py", "contest/a.py", "latest_news.py", "src/a.py"])
def test_words_that_only_hold_test_are_not(path: str) -> None:
    assert not is_test_file(path)


@pytest.mark.parametrize(
    "path",
    [
        "CHANGELOG.md",
        "CHANGES",
        "docs/changelog.rst",
        "HISTORY.rst",
        "NEWS",
        "changelog.d/12.fixed.md",
        "newsfragments/3.bugfix",
        "src/pkg/newsfragments/3.bugfix.rst",
        ".changeset/brave-cat.md",
    ],
)
def test_changelogs_and_their_fragments_are_known(path: str) -> None:
    assert is_changelog(path)


@pytest.mark.parametrize(
    "path",
    [
        "src/changes.py",
        "changelog.py",
        "tests/data/CHANGELOG.md",
        "newsletter/readme.md",
        "newsfragments/README.md",
        "newsfragments/.gitignore",
        "README.md",
        "src/news/a.md",
    ],
)
def test_what_only_sounds_like_a_changelog_is_none(path: str) -> None:
    assert not is_changelog(path)


JACOCO = b"""<?xml version="1.0"?><!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">
<report name="x"><sessioninfo id="a" start="1" dump="2"/><group name="app"><package name="com/x">
<class name="com/x/Calc" sourcefilename="Calc.java"><method name="add" desc="()V" line="3">
<counter type="LINE" missed="0" covered="1"/></method></class>
<sourcefile name="Calc.java"><line nr="3" mi="0" ci="4" mb="0" cb="0"/><line nr="6" mi="2" ci="0" mb="1" cb="1"/>
<line nr="7" mi="1" ci="3" mb="1" cb="1"/></sourcefile></package></group></report>"""

CLOVER = b"""<?xml version="1.0"?><coverage generated="1"><project timestamp="1"><package name="App">
<file name="/work/src/Calc.php"><class name="Calc" namespace="App"><metrics methods="1"/></class>
<line num="2" type="method" name="add" count="1"/><line num="3" type="stmt" count="2"/>
<line num="5" type="cond" truecount="0" falsecount="1"/><line num="9" type="stmt" count="0"/><metrics loc="9"/></file>
</package><file name="b.js" path="/work/b.js"><line num="1" type="stmt" count="0"/></file></project></coverage>"""


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (("app/src/main/java/com/x/Calc.java", "Calc.java"), "app/src/main/java/com/x/Calc.java"),
        (("a/com/x/Calc.java", "b/com/x/Calc.java"), "com/x/Calc.java"),
        ((), "com/x/Calc.java"),
    ],
)
def test_jacoco_names_packages_and_the_checkout_says_where_they_lie(files: tuple[str, ...], path: str) -> None:
    expected = {path: Lines(frozenset({3, 7}), frozenset({6}))}
    assert read_coverage(JACOCO, files=frozenset(files)) == expected


def test_clover_s_methods_are_no_lines_and_half_a_condition_ran() -> None:
    assert read_coverage(CLOVER) == {
        "src/Calc.php": Lines(frozenset({3, 5}), frozenset({9})),
        "b.js": Lines(frozenset(), frozenset({1})),
    }


def istanbul(statements: dict[str, Any], counts: dict[str, Any]) -> bytes:
    return json.dumps({"/work/a.js": {"path": "/work/a.js", "statementMap": statements, "s": counts}}).encode()


def test_istanbul_s_statements_count_by_the_line_they_start_on() -> None:
    starts = {key: {"start": {"line": line, "column": 0}} for key, line in (("0", 1), ("1", 1), ("2", 4))}
    assert read_coverage(istanbul(starts, {"0": 0, "1": 2, "2": 0})) == {
        "a.js": Lines(frozenset({1}), frozenset({4})),
    }


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (JACOCO.replace(b'ci="4"', b""), "coverage_malformed"),
        (JACOCO.replace(b'ci="4"', b'ci="-4"'), "coverage_malformed"),
        (CLOVER.replace(b'count="2"', b""), "coverage_malformed"),
        (istanbul({"0": {"start": {"line": 1}}}, {}), "coverage_malformed"),
        (istanbul({"0": {"start": {"line": 1}}}, {"0": -1}), "coverage_malformed"),
        (istanbul({"0": {}}, {"0": 1}), "coverage_malformed"),
        (LCOV.replace(b"end_of", b"LF:4\nend_of"), "coverage_contradicts"),
        (LCOV.replace(b"DA:9,0", b"DX:9,0"), "coverage_malformed"),
        (LCOV.replace(b"DA:9,0", b"DA:9,-1"), "coverage_malformed"),
        (LCOV.replace(b"a.js", b"\xff.js"), "coverage_malformed"),
        (b'{"files": {}, "files": {}}', "coverage_duplicate_key"),
    ],
)
def test_what_says_too_little_or_contradicts_itself_is_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code
