"""Readiness told to people: where the level stands and why, what the next rung takes, and how far it is."""

import shlex
import textwrap
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Final

from libs.cli.options import run_command
from libs.cli.screen import Screen, cell, moment, table
from libs.contracts.ladder import GRANTED
from libs.contracts.readiness import AccuracyProof, CatchRate, Criterion, Movement, Readiness, Rung
from libs.contracts.words import Level

LEAST: Final = ("successful_runs", "success_rate")
"""Criteria whose limit is enough; of the others it has to be passed."""
UPPER: Final = ("override_rate", "average_retries")
"""Criteria of which less is better."""
COUNTS: Final = ("successful_runs", "average_retries")
"""Criteria that are no shares."""
MOVES_SHOWN: Final = 3
PROSE_WIDTH: Final = 120
RAMP: Final = "▁▂▃▄▅▆▇█"
PLAIN_RAMP: Final = "_.:-=+*#"
"""The same where the terminal cannot show it."""


def show_prose(screen: Screen, text: str, style: str = "") -> None:
    """Sentences in lines that fit the screen; what is wrapped stands further in."""
    indent = " " * (len(text) - len(text.lstrip()))
    width = min(screen.out.width, PROSE_WIDTH)
    for line in textwrap.wrap(
        text.strip(), width, initial_indent=indent, subsequent_indent=f"{indent}    ", break_long_words=False
    ):
        screen.line(line, style)


# -- where the level stands ---------------------------------------------------


def levels_line(found: Readiness) -> str:
    level = found.level
    return f"configured {level.configured}, earned {level.earned}, granted {level.granted}, in force {level.in_force}"


def in_force_sentence(found: Readiness) -> str:
    """Why the level in force is what it is."""
    level = found.level
    if level.in_force is level.configured:
        more = f", though {level.granted} is granted" if level.granted.rank > level.configured.rank else ""
        return f"The workflow asks for {level.configured}{more}, so runs are {level.in_force}."
    if level.in_force is level.granted:
        return f"The workflow asks for {level.configured}; granted is {level.granted}, so runs are {level.in_force}."
    unread = "its ladder holds a fact that this build cannot read"
    return f"The workflow asks for {level.configured} and {level.granted} is granted, but {unread}: {level.in_force}."


def move_line(move: Movement) -> str:
    """One move of the level: when, from where to where, by whom and why."""
    unproven = move.to is Level.ASE and move.cause == GRANTED and not move.with_proof
    how = ", without proof" if unproven else ", with proof" if move.with_proof else ""
    said = f"{moment(move.at)} UTC  {move.origin} to {move.to}, {move.cause} by {cell(move.by)}{how}"
    return f"{said}: {cell(move.why, 500)}"


def show_moves(screen: Screen, found: Readiness) -> None:
    if not found.moves:
        return
    screen.line()
    screen.line("Why the level moved last", "bold")
    for move in reversed(found.moves[-MOVES_SHOWN:]):
        show_prose(screen, f"  {move_line(move)}")


# -- the rungs ----------------------------------------------------------------


def show_rungs(screen: Screen, found: Readiness, data: Path | None) -> None:
    """Those that are climbed in one line each, the next with every criterion, the ones above shorter."""
    for rung in found.rungs:
        screen.line()
        if rung.to.rank <= found.level.granted.rank:
            _show_climbed(screen, rung)
        elif rung.origin is found.level.granted:
            _show_next(screen, rung, found, data)
        else:
            _show_later(screen, rung)
        for line in _beside(rung):
            show_prose(screen, f"  {line}")


def _show_climbed(screen: Screen, rung: Rung) -> None:
    lines = (f"{_name(one)} {_value(one)} ({_limit(one)})" for one in rung.criteria)
    show_prose(screen, f"To {rung.to}: climbed; {', '.join(lines)}")


def _show_next(screen: Screen, rung: Rung, found: Readiness, data: Path | None) -> None:
    screen.line(f"To {rung.to}, the next rung: {_tally(rung)}", "bold")
    made = table("criterion", "value", "of", "95% sure", "limit", "holds", "to go")
    for one in rung.criteria:
        made.add_row(
            _name(one),
            _value(one),
            str(one.n),
            _bound(one),
            _limit(one),
            "yes" if one.met else "no",
            _to_go(one.runs_to_go),
        )
    screen.out.print(made)
    if found.level.earned.rank >= rung.to.rank:
        unproven = "; the log will say that it was granted without proof" if rung.proof and not rung.is_proven else ""
        show_prose(screen, f"  {rung.to} is earned. An operator grants it{unproven}:", "green")
        grant = run_command(f"level grant {rung.to} --repo {shlex.quote(found.repository)} --reason TEXT", data)
        screen.line(f"    {grant}", "green")
    elif (why := _hindrance(rung, found)) is not None:
        show_prose(screen, f"  {why}", "yellow")


def _hindrance(rung: Rung, found: Readiness) -> str | None:
    """Why a rung is not earned though its table holds."""
    falls = takewhile(lambda move: move.cause != GRANTED, reversed(found.moves))
    if rung.met and any(move.cause == "rollback" for move in falls):
        return f"{rung.to} was lost by a rollback; it returns when the last 50 labelled runs hold no wrong verdict."
    return None


def _show_later(screen: Screen, rung: Rung) -> None:
    asked = ", ".join(f"{_name(one)} {_limit(one)}" for one in rung.criteria)
    show_prose(screen, f"To {rung.to}, after that: {asked}")


def _tally(rung: Rung) -> str:
    met = sum(one.met for one in rung.criteria)
    return "every criterion holds" if rung.met else f"{met} of {len(rung.criteria)} criteria hold"


def _beside(rung: Rung) -> Iterator[str]:
    """What stands beside the last rung."""
    if rung.proof is not None:
        yield _proof(rung.proof)
    if rung.catch_rate is not None:
        yield _caught(rung.catch_rate)


def _proof(proof: AccuracyProof) -> str:
    shown = f"accuracy above {percent(proof.value, proof.limit)} is proven by {_count(proof.labelled, 'labelled run')}"
    if proof.met:
        return f"proof: {shown}; {percent(proof.limit)} was needed, so it holds."
    wait = "" if proof.runs_to_go is None else f", about {_count(proof.runs_to_go, 'flawless labelled run')} to go"
    return f"proof: {shown}; {percent(proof.limit)} is needed{wait}."


def _caught(rate: CatchRate) -> str:
    caught, bad = rate.caught + rate.seeded_caught, rate.bad + rate.seeded_bad
    seeded = f" ({rate.seeded_caught} of {rate.seeded_bad} made on purpose)" if rate.seeded_bad else ""
    needed = f"{percent(rate.limit)} of {rate.at_least} or more is needed"
    held = "so it holds" if rate.met else "so it does not hold yet"
    if not bad:
        return f"catch rate: no bad candidate is known; {needed}. rung calibrate makes some."
    sure = f"at least {percent(rate.bound, rate.limit)} (95% sure)"
    return f"catch rate: {caught} of {bad} known bad ones were stopped{seeded}, {sure}; {needed}, {held}."


# -- one criterion ------------------------------------------------------------


def _name(one: Criterion) -> str:
    return cell(one.name.replace("_", " "))


def _value(one: Criterion) -> str:
    if one.value is None:
        return "-"
    if one.name == "successful_runs":
        return str(one.value)
    return f"{one.value:.2f}" if one.name in COUNTS else percent(one.value, one.limit)


def _bound(one: Criterion) -> str:
    if one.bound is None or not one.n:
        return "-"
    return f"at {'most' if one.name in UPPER else 'least'} {percent(one.bound, one.limit)}"


def _limit(one: Criterion) -> str:
    limit = f"{one.limit:g}" if one.name in COUNTS else percent(one.limit)
    if one.name in LEAST:
        return f"at least {limit}"
    return f"{'below' if one.name in UPPER else 'above'} {limit}"


def _to_go(runs: int | None) -> str:
    return "" if runs is None else f"about {_count(runs, 'run')}"


def percent(share: float | None, limit: float | None = None) -> str:
    """A share for people, with so many digits that it does not look like a limit that it is not."""
    if share is None:
        return "-"
    short = _percent(share, 2)
    return _percent(share, 4) if limit is not None and share != limit and short == _percent(limit, 2) else short


def _percent(share: float, digits: int) -> str:
    text = f"{share * 100:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.')}%"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# -- the trend ----------------------------------------------------------------


def sparkline(values: tuple[float, ...], encoding: str) -> str:
    """One sign a value, from the lowest of them to 100%."""
    ramp = RAMP if encoding.lower().startswith("utf") else PLAIN_RAMP
    lowest = min(values)
    span = 1 - lowest
    return "".join(ramp[round((value - lowest) / span * (len(ramp) - 1)) if span else -1] for value in values)


def show_trend(screen: Screen, found: Readiness) -> None:
    if len(found.trend) < 2:
        return
    drawn = sparkline(found.trend, screen.out.encoding)
    screen.line(f"  accuracy over time  {drawn}  lowest {percent(min(found.trend))}, last {percent(found.trend[-1])}")
