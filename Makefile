# Rung: `make` lists the targets.
SHELL := bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo ladder ladder-full test bench check diagram deploy-keys lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@command -v git >/dev/null || { echo "rung needs git on PATH" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "rung needs Python >= 3.11; run make PYTHON=python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || if command -v uv >/dev/null; then ln -sf "$$(command -v uv)" $(BIN)/uv; else $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; fi
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## take the example issue to a merged change, at level 1
	@$(BIN)/python examples/demo.py

ladder: $(READY) ## let a repository earn level 3 in front of you, within ten minutes
	@$(BIN)/python -m examples.ladder $(if $(PLACE),--place $(PLACE))

ladder-full: $(READY) ## go on to level 4, fall by a rollback, return, fall by a drift, return; PLACE=DIR goes on from there
	@$(BIN)/python -m examples.ladder --full $(if $(PLACE),--place $(PLACE))

test: $(READY) ## run every test
	@$(BIN)/python -m pytest --numprocesses 2 --maxschedchunk 2

bench: $(READY) ## measure what is promised about speed, beside a bare peer in the same run
	@$(BIN)/python -m tests.bench.reports
	@$(BIN)/python -m tests.bench.thousand
	@$(BIN)/python -m tests.bench.readiness
	@$(BIN)/python -m tests.bench.backtest
	@$(BIN)/python -m tests.bench.readiness_simulation 200

check: $(READY) ## lint, types, import arrows, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy libs services tests docs/generate.py examples/demo.py examples/ladder
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

diagram: $(READY) ## write the generated documents (run diagram, AsyncAPI, workflow schema) anew
	$(BIN)/python docs/generate.py

deploy-keys: $(READY) ## write the keys and the server configuration that docker compose uses
	@$(BIN)/python -m libs.runtime.rights --keys deploy/secrets --store /data --host 0.0.0.0 --port 4222 --monitor-port 8222 --output deploy/secrets/nats.conf

lock: ## pin the newest versions with hashes into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra dev --extra otlp --extra postgres --upgrade pyproject.toml --output-file requirements.lock

clean: ## remove what make made here
	rm -rf $(VENV) .stamps .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
