"""The one refusal of every reader of reports, and text from a report made fit to be shown."""

import re
import unicodedata

REPORT_BYTES_MAX = 64 * 2**20


class Unreadable(Exception):
    """A report that cannot be taken for evidence; `code` is stable, `message` one sentence for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def require_readable_size(data: bytes, kind: str) -> None:
    if not data or data.isspace():
        raise Unreadable(f"{kind}_empty", f"The {kind} report is empty.")
    if len(data) > REPORT_BYTES_MAX:
        raise Unreadable(
            f"{kind}_too_big", f"The {kind} report is larger than {REPORT_BYTES_MAX // 2**20} MiB and is not read."
        )


def plain(text: str, length_max: int | None = None) -> str:
    """Text fit for a terminal and a fact: no escapes, control or direction marks, `length_max` characters at most."""
    looked_at = text if length_max is None else text[: length_max * 4]
    kept = looked_at if looked_at.isprintable() else _printable(looked_at)
    if length_max is not None and (len(kept) > length_max or len(looked_at) < len(text)):
        return kept[: max(length_max - 1, 0)] + "…"
    return kept


def _printable(text: str) -> str:
    without_escapes = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    unfit = (char for char in set(without_escapes) - {"\n", "\t"} if unicodedata.category(char) in _UNPRINTABLE)
    return without_escapes.translate(dict.fromkeys(map(ord, unfit)))


_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co"})
