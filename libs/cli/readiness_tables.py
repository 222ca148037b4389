"""What readiness rests on, told to people: labels, gates, classes and agents, shadows, and what waits to be checked."""

from pathlib import Path
from typing import Final

from libs.cli.options import run_command
from libs.cli.readiness_text import percent, show_prose
from libs.cli.screen import Screen, cell, table
from libs.contracts.readiness import AuditStanding, Readiness

RUNS_SHOWN: Final = 5
NAME_MAX: Final = 50


def show_labels(screen: Screen, found: Readiness) -> None:
    """How many verdicts turned out right or wrong, and from what it was learnt."""
    labels = found.labels
    if not labels.right + labels.wrong + labels.unlabelled:
        return
    screen.line()
    screen.line(f"Verdicts: {labels.right} right, {labels.wrong} wrong, {labels.unlabelled} unlabelled", "bold")
    show_prose(
        screen,
        f"  false passes {labels.false_pass}, false fails {labels.false_fail}; known from a revert {labels.reverted}, "
        f"from a check {labels.audited_right + labels.audited_wrong} ({labels.audited_wrong} wrong), "
        f"from survival only {labels.survived_only}",
    )
    if labels.hasty:
        screen.line(f"  {_decisions(labels.hasty)} came too fast to label anything")
    for kind, standing in (("passes", found.audit_only.passes), ("fails", found.audit_only.fails)):
        if standing.drawn:
            show_prose(screen, f"  checks of {kind} by chance: {_checked(standing)}")


def _decisions(count: int) -> str:
    return f"{count} decision{'' if count == 1 else 's'}"


def _checked(standing: AuditStanding) -> str:
    done = standing.right + standing.wrong
    drawn = f"{standing.drawn} of {standing.n} runs drawn, {done} checked, {standing.wrong} wrong"
    estimate = "" if standing.estimate is None else f"; over all runs about {percent(standing.estimate)} right"
    return f"{drawn}{estimate}"


def show_gates(screen: Screen, found: Readiness) -> None:
    if not found.gates:
        return
    screen.line()
    made = table("gate", "accuracy", "at least", "passes", "right", "wrong", "?", "fails", "right", "wrong", "?")
    for gate in found.gates:
        is_known = gate.accuracy is not None
        passes, fails = gate.passes, gate.fails
        made.add_row(
            gate.phase,
            percent(gate.accuracy),
            percent(gate.bound) if is_known else "-",
            str(passes.right + passes.wrong + passes.unlabelled),
            *(str(number) for number in (passes.right, passes.wrong, passes.unlabelled)),
            str(fails.right + fails.wrong + fails.unlabelled),
            *(str(number) for number in (fails.right, fails.wrong, fails.unlabelled)),
        )
    screen.out.print(made)


def show_kinds(screen: Screen, found: Readiness) -> None:
    """By type of issue, and by who worked."""
    classes = [(one.issue_type, one.runs, one.labelled, one.accuracy) for one in found.classes]
    agents = [(one.agent, one.runs, one.labelled, one.accuracy) for one in found.agents]
    for title, kinds in (("type of issue", classes), ("agent", agents)):
        if not kinds:
            continue
        screen.line()
        made = table(title, "runs", "labelled", "accuracy")
        for name, runs, labelled, accuracy in kinds:
            made.add_row(cell(name, NAME_MAX), str(runs), str(labelled), percent(accuracy))
        screen.out.print(made)


def show_shadow(screen: Screen, found: Readiness) -> None:
    """How the next level would have decided beside what people did."""
    shadow = found.shadow
    decided = shadow.agreed + shadow.differed
    if shadow.next is None or not decided + shadow.asked:
        return
    screen.line()
    asked = f"; {shadow.asked} more it would have left to people as well" if shadow.asked else ""
    show_prose(
        screen, f"{shadow.next}, the next level, would have decided {shadow.agreed} of {decided} as people did{asked}."
    )
    for one in shadow.differences[:RUNS_SHOWN]:
        place = f"{one.run[:8]} {one.phase} {one.attempt}"
        screen.line(f"  {place}: it would have said {one.shadow}, and a person said {one.decision}")
    if (more := shadow.differed - len(shadow.differences[:RUNS_SHOWN])) > 0:
        screen.line(f"  … {more} more; --json lists the newest")


def show_open(screen: Screen, found: Readiness, data: Path | None) -> None:
    """What people could still tell, each with the command to tell it."""
    if found.audits:
        screen.line()
        screen.line(f"Drawn by chance, to be checked by somebody: {len(found.audits)}", "bold")
        for asked in found.audits[:RUNS_SHOWN]:
            what = "passed" if asked.kind == "pass" else "failed"
            command = run_command(f"label {asked.run[:8]} GATE right|wrong --reason TEXT", data)
            screen.line(f"  {asked.run[:8]} {what}: {command}")
    if found.unlabelled:
        screen.line()
        screen.line("Nobody learnt yet whether these verdicts were right", "bold")
        for one in found.unlabelled[:RUNS_SHOWN]:
            command = run_command(f"label {one.run[:8]} {one.gates[0]} right|wrong --reason TEXT", data)
            screen.line(f"  {one.run[:8]} {', '.join(one.gates)}: {command}")
    if (more := max(len(found.unlabelled), len(found.audits)) - RUNS_SHOWN) > 0:
        screen.line(f"  … {more} more; --json lists them")
