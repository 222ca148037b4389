"""Tells from its content what kind of report a file is."""

import re
from enum import StrEnum

from libs.workshop.evidence.coverage_reports import LCOV_STARTS
from libs.workshop.evidence.junit import ROOTS
from libs.workshop.evidence.streams import JsonStream, local_name, xml_events
from libs.workshop.evidence.text import Unreadable, plain, require_readable_size

COVERAGE_ROOTS = frozenset({"coverage", "report"})
LOOKED_AT_BYTES = 2**14

_DIFF = re.compile(r"^(?:diff --(?:git|cc|combined) |--- .*\n\+\+\+ |@@ -\d|Index: )", re.MULTILINE)


class Kind(StrEnum):
    """Which reader a report is for; `METRICS` is a flat JSON object of names and values."""

    JUNIT = "junit"
    COVERAGE = "coverage"
    SARIF = "sarif"
    DIFF = "diff"
    METRICS = "metrics"


def kind_of(data: bytes) -> Kind:
    """The kind by what stands at the start; whether the rest is whole, the reader of that kind says.

    Raises: Unreadable for what is none of them.
    """
    require_readable_size(data, "report")
    start = data[:LOOKED_AT_BYTES].replace(b"\x00", b"").decode("utf-8", "replace").lstrip("\ufeff\ufffd \t\r\n")
    if start.startswith("<"):
        return _kind_of_xml(data)
    if start.startswith("{"):
        return _kind_of_json(data)
    if start.startswith(LCOV_STARTS):
        return Kind.COVERAGE
    if _DIFF.search(start.replace("\r\n", "\n")):
        return Kind.DIFF
    raise _unknown("it is neither XML, JSON, LCOV nor a unified diff")


def _kind_of_xml(data: bytes) -> Kind:
    for _, element in xml_events(data, "report"):
        root = local_name(element)
        if root in ROOTS:
            return Kind.JUNIT
        if root in COVERAGE_ROOTS:
            return Kind.COVERAGE
        raise _unknown(f"no report that is read starts with <{plain(root, 60)}>")
    raise _unknown("it holds no element")


def _kind_of_json(data: bytes) -> Kind:
    """By the keys of the outermost object; none of its large parts is looked into."""
    stream = JsonStream(data, "report")
    is_flat = True
    for key in stream.members():
        opening = stream.peek()
        if key == "runs" and opening == "[":
            return Kind.SARIF
        value = stream.value()
        if isinstance(value, dict) and (key == "files" or "statementMap" in value):
            return Kind.COVERAGE
        is_flat = is_flat and not isinstance(value, dict | list)
    stream.end()
    if is_flat:
        return Kind.METRICS
    raise _unknown("it is JSON, but neither SARIF, coverage nor a flat object of names and values")


def _unknown(why: str) -> Unreadable:
    return Unreadable("report_unknown_kind", f"What kind of report this is cannot be told: {why}.")
