"""Gathers the gates of a workflow from wherever it speaks of them: phases, lists, files of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

import yaml

from libs.contracts.words import Phase
from libs.contracts.workflow.criteria import Scope
from libs.contracts.workflow.gates import GatePart, gate_document, phase_gate
from libs.contracts.workflow.nodes import Findings, Misfit, Place, Table, Unreadable, documents, find, shown
from libs.contracts.workflow.parts import GateReference
from libs.contracts.workflow.values import path

Text = str | bytes
Texts = Mapping[str, Text] | None
"""Texts of the files that a workflow names, by path as it writes them; `None` where none was read."""
_NO_PARTS: Final[tuple[GatePart, ...]] = ()


@dataclass(frozen=True)
class Gathering:
    """What the places read so far ask for, and the files they name."""

    reported: tuple[str, ...]
    texts: Texts
    parts: list[GatePart] = field(default_factory=list)
    references: list[GateReference] = field(default_factory=list)

    def section(self, place: Place) -> None:
        """The key `gates`: by phase, or a list of gates that say themselves where they belong."""
        if not isinstance(place.node, yaml.MappingNode):
            return self._several(place, None)
        table = Table(place, tuple(Phase))
        for name in table.entries:
            self.under(Phase(name), table.entries[name])
        return None

    def under(self, phase: Phase, place: Place) -> None:
        """What stands under one phase."""
        if isinstance(place.node, yaml.MappingNode):
            self.parts.extend(place.read(partial(phase_gate, self.reported, phase), _NO_PARTS))
        else:
            place.read(partial(self._several_under, phase), None)

    def _several_under(self, phase: Phase, place: Place) -> None:
        self._several(place, phase)

    def _several(self, place: Place, phase: Phase | None) -> None:
        items = [place] if isinstance(place.node, yaml.ScalarNode) else place.items()
        for item in items:
            if isinstance(item.node, yaml.ScalarNode):
                item.read(partial(self._file, phase), None)
            else:
                self.parts.extend(item.read(partial(gate_document, self.reported, phase), _NO_PARTS))

    def _file(self, phase: Phase | None, place: Place) -> None:
        """A gate in a file of its own: read if the caller gave its text."""
        if place.node.tag.endswith(":null"):
            raise Misfit("has no value; name criteria")
        if not str(place.node.value).endswith((".yaml", ".yml")):
            raise Misfit(f"must be criteria or a file that ends in .yaml, not {shown(place.node)}")
        reference = GateReference(path=path(place), phase=phase)
        self.references.append(reference)
        if self.texts is None:
            place.warn("this file was not read, so it asks for nothing")
            return
        content = self.texts.get(reference.path)
        if content is None:
            raise Misfit("there is no such file, so it would judge nothing")
        self.parts.extend(parts_of_file(reference.path, content, Scope(phase, self.reported), place))


def parts_of_file(file: str, content: Text, scope: Scope, named_by: Place) -> tuple[GatePart, ...]:
    """What a gate file asks for; what is wrong in it is told under its own name."""
    roots = _roots(content, Findings(file, named_by.findings.found))
    parts = (root.read(partial(gate_document, scope.reported, scope.phase), _NO_PARTS) for root in roots)
    return tuple(chain.from_iterable(parts))


def _roots(content: Text, findings: Findings) -> list[Place]:
    try:
        nodes = documents(content)
    except Unreadable as error:
        findings.add(error.line, "", str(error))
        return []
    if not nodes:
        findings.add(1, "", "is empty, so it would judge nothing; write a gate with criteria")
    return [Place(node, node.start_mark.line + 1, "", findings) for node in nodes]


def gather(workflow: Table, reported: tuple[str, ...], texts: Texts) -> Gathering:
    """All gates of a workflow, those under `phases` first."""
    gathering = Gathering(reported, texts)
    phases = workflow.entries.get("phases")
    for phase in Phase if phases is not None else ():
        place = None if phases is None else find(phases, (phase, "gates"))
        if place is not None:
            gathering.under(phase, place)
    gates = workflow.entries.get("gates")
    if gates is not None:
        gates.read(gathering.section, None)
    return gathering
