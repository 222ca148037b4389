"""One run is one trace: spans from every service that worked on it, at a real OTLP receiver."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from libs.contracts.words import Service
from tests.support.quick import RIGHT, quick_agent, quick_repository
from tests.support.system import System, running_system
from tests.support.waiting import until


class _Receiver(ThreadingHTTPServer):
    """Keeps the trace ids that each service reported."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.traces: dict[str, set[str]] = defaultdict(set)


class _Handler(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in request.resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.server.traces[span.trace_id.hex()].add(names["service.name"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[_Receiver]:
    with _Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def traced(tmp_path: Path, receiver: _Receiver) -> Iterator[System]:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with running_system(tmp_path / "system", environment) as system:
        yield system


async def test_the_spans_of_one_run_form_one_trace_over_all_services(
    traced: System, receiver: _Receiver, tmp_path: Path
) -> None:
    case = quick_repository(tmp_path / "repository")
    async with traced.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=quick_agent(tmp_path, RIGHT))
        view = await operator.approve_until_end(run)
        assert view.outcome == "merged", view.reason
        trace = run.replace("-", "")
        history = await operator.history(run)
    assert {(recorded.traceparent or "").split("-")[1] for recorded in history.facts} == {trace}

    async def is_complete() -> bool:
        return receiver.traces[trace] == {f"rung-{service}" for service in Service}

    assert await until(is_complete), receiver.traces
