# Everything that a person or CI calls. `make help` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run stop reset status test lint bench test-fuzz test-soak test-compose test-clients test-walks spa \
	deps format lock

BIN := .venv/bin
WEB := services/middleware/web
WORKERS ?= 2
N ?= 20000
# Compiled modules are kept (__pycache__ is ignored by git): without them each start takes seconds more.
unexport PYTHONDONTWRITEBYTECODE
ARGS ?=

help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

run: ## Install what is missing, start everything with the demo, print URL and accounts.
	@sh demo/bootstrap.sh run
	@$(BIN)/querykeep-demo run

stop: ## End everything that `make run` started; data stays.
	@if [ -x $(BIN)/querykeep-demo ]; then $(BIN)/querykeep-demo stop; fi

reset: ## End everything and delete its data (.run).
	@if [ -x $(BIN)/querykeep-demo ]; then $(BIN)/querykeep-demo reset; else rm -rf .run; fi

status: ## Show what runs, with addresses and accounts.
	@$(BIN)/querykeep-demo status

test: ## Install what is missing, run every test against real servers (ARGS="tests/guard -k mask").
	@sh demo/bootstrap.sh test
	@$(BIN)/python tests/run.py --workers $(WORKERS) $(ARGS)

lint: ## Check style, types, import directions, migrations, generated files and the web UI.
	@sh demo/bootstrap.sh web
	@$(BIN)/python tests/lint.py $(ARGS)

bench: ## Measure speed beside a direct connection; one JSON object per line.
	@sh demo/bootstrap.sh bench
	@$(BIN)/python -m tests.bench $(ARGS)

test-fuzz: ## Long fuzzing of decoders and analyzers (N=100000 random statements).
	@sh demo/bootstrap.sh test
	@QUERYKEEP_FUZZ_COUNT=$(N) $(BIN)/python tests/run.py --workers $(WORKERS) --only fuzz $(ARGS)

test-soak: ## Hours-long sessions: memory, descriptors, audit chain.
	@sh demo/bootstrap.sh test
	@$(BIN)/python tests/run.py --workers 0 --only soak $(ARGS)

test-clients: ## Test suites of database clients through the proxy.
	@sh demo/bootstrap.sh clients
	@$(BIN)/python tests/run.py --workers 0 --only clients $(ARGS)

test-walks: ## Long walks through the web UI in Chromium, with screenshots of every page.
	@sh demo/bootstrap.sh test
	@$(BIN)/python tests/run.py --workers 0 --only walks $(ARGS)

test-compose: ## Build the images and walk through them.
	@sh demo/bootstrap.sh compose
	@$(BIN)/python tests/run.py --workers 0 --only compose $(ARGS)

spa: ## Build the web UI.
	@sh demo/bootstrap.sh web

deps: ## Install what `make run` and `make test` need, start nothing.
	@sh demo/bootstrap.sh test

format: ## Format the Python code.
	@sh demo/bootstrap.sh python
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

lock: ## Lock requirements/*.in anew (UPGRADE=--upgrade for newer versions).
	@sh demo/bootstrap.sh python
	@sh requirements/lock.sh $(UPGRADE)
