# Each target sets up what it needs. PYTHON and PORT can be given: make demo PORT=8123
PYTHON ?= python3
PYTEST_WORKERS ?= 3

BIN := .venv/bin
RUN := .venv/.installed-run
DEV := .venv/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test prove test-browser test-kurigram lint types format bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(RUN): requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $(RUN) $@

setup: $(DEV) ## Make the virtual environment with everything in it

demo: $(RUN) ## Run the hub on the sandbox Telegram, one account logged in
	$(BIN)/python manage.py demo --port $(or $(PORT),8000)

serve: $(RUN) ## Run the hub; settings from the environment or .env
	$(BIN)/python manage.py serve $(if $(PORT),--port $(PORT))

test: $(DEV) ## Every check with small counts, on SQLite and PostgreSQL
	$(BIN)/python -m tests.run -n $(PYTEST_WORKERS)

prove: $(DEV) ## The same checks at full count; slow
	TGHUB_PROVE=1 $(BIN)/python -m tests.run -n $(PYTEST_WORKERS)

test-browser: $(DEV) ## The pages in a real Chromium
	$(BIN)/python -m pytest -m browser -p no:cacheprovider

test-kurigram: $(DEV) ## A second MTProto client, in an environment of its own, against the sandbox
	$(BIN)/python -m pytest -m kurigram -p no:cacheprovider

lint: $(DEV) ## ruff and the import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(DEV) ## mypy --strict
	$(BIN)/mypy .

format: $(DEV) ## Rewrite to the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## Measure beside a yardstick in the same run
	$(BIN)/python -m bench

clean: ## Remove what the targets made
	rm -rf .venv build data/demo-*
