"""What the operator's file forbids never becomes an issue."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.contracts.operator import NO_FILE, Operator
from libs.contracts.requests import IssueRequest
from libs.contracts.wire import encode_request
from libs.contracts.words import Phase
from libs.contracts.workflow import PhasePolicy
from libs.runtime.shell import Delivery, Refused
from services.planner.intake import _forbidden_agents, take_in
from tests.spec.story import POLICY, opened


@pytest.mark.parametrize("source", ["cli", "github"])
async def test_a_repository_is_judged_by_its_real_path_before_it_is_looked_at(tmp_path: Path, source: str) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "secret")
    operator = Operator(repositories=(f"{tmp_path}/allowed/**",))
    shell = cast("Any", SimpleNamespace(settings=SimpleNamespace(operator=operator)))
    request = IssueRequest(repository=str(tmp_path / "allowed" / "link"), key="7", title="x")
    headers, data = encode_request(request, request_id="r", source="/test")
    delivery = Delivery(
        stream="INTAKE", subject=f"intake.issue.{source}", headers=headers, data=data, sequence=1, time=1.0, tries=1
    )
    with pytest.raises(Refused) as refused:
        await take_in(shell, delivery)
    assert str(refused.value).startswith(f"the operator allows no runs on {tmp_path}/secret; allowed are ")


def test_an_agent_is_judged_whether_the_operator_or_the_workflow_names_it() -> None:
    own = POLICY.model_copy(update={"phases": {**POLICY.phases, Phase.BUILD: PhasePolicy(agent="exec:sh -c x")}})
    only = Operator(agents=("repair",))
    assert _forbidden_agents(only, opened()) is None
    assert "does not allow the agent exec:claude" in str(_forbidden_agents(only, opened(agent="exec:claude")))
    assert "does not allow the agent exec:sh -c x" in str(_forbidden_agents(only, opened(policy=own)))
    assert _forbidden_agents(NO_FILE, opened(policy=own)) is None
