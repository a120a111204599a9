# The commands of this project; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
PYTEST ?=
# Most tests wait for daemons: on two cores three processes keep them busy.
JOBS ?= 3
HOSTS ?= 100
BIN := $(VENV)/bin
# The tests of a file share what they have started, so a file goes to one process.
OPTIONS = --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder $(PYTEST)
RUN_TESTS = $(BIN)/pytest $(OPTIONS)
# Else each of the processes compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo demo-clean check contract-lock environment constraints daemons browser \
	console-page golden test test-unit test-contract test-integration test-e2e test-all attack compose-test bench bench-fleet \
	house walk

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18
	@echo 'Variables: FLEET_INSTALL=no (explain, do not install), VENV=DIR (an environment to use as it is),'
	@echo '           PYTHON=python3.12, PYTEST="-k name" (options for pytest), JOBS=0 (tests in one process),'
	@echo '           HOSTS="100 1000" (sizes of the simulated fleet)'

run: environment  ## the fleet on this machine, in the foreground; Ctrl-C stops it
	@$(BIN)/python -m deploy.local run

demo: environment  ## the same with two LXD hosts and a few instances
	@$(BIN)/python -m deploy.local demo

demo-clean: environment  ## remove all that `make demo` made
	@$(BIN)/python -m deploy.local demo-clean

check: environment  ## lint, format, types, import rules, message lock
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m shared.contracts.contract_lock --check

test: daemons  ## all tests but the slow ones, on real LXD and RabbitMQ
	$(RUN_TESTS) -m "not slow"

# These wait for nothing.
test-unit test-contract: JOBS = $(shell nproc)

test-unit: environment  ## tests that need memory only
	$(RUN_TESTS) tests/*/unit

test-contract: environment  ## both sides of every message
	$(RUN_TESTS) tests/contract

test-integration: daemons  ## tests on real LXD and RabbitMQ
	$(RUN_TESTS) tests/*/integration -m "not slow"

test-e2e: daemons  ## the composed system, only through HTTP
	$(RUN_TESTS) tests/e2e -m "not slow"

attack: daemons  ## what a guest, a host or a caller might do to the others, and what held
	$(RUN_TESTS) -m attack --hypothesis-profile=attack --timeout=600

test-all: daemons browser  ## the slow ones too, and all again on each Python that is found
	$(RUN_TESTS)
	@for python in python3.11 python3.12 python3.13; do \
		$$python -c '' 2>/dev/null || { echo "$$python: not found, left out"; continue; }; \
		$$python -m deploy.local.bootstrap .venv-$$python || exit 1; \
		.venv-$$python/bin/pytest $(OPTIONS) -m "not slow" || exit 1; \
	done

compose-test: environment  ## the fleet in containers: built, started, driven, removed (Docker)
	@$(BIN)/python -m deploy.local prepare-compose-test
	$(BIN)/pytest $(PYTEST) tests/compose

bench: daemons  ## every figure that is promised, measured beside its baseline, in one table
	@$(BIN)/python -m benchmarks

bench-fleet: daemons  ## the gateway under HOSTS simulated hosts of 100 instances each
	@BENCH_HOSTS="$(HOSTS)" $(BIN)/python -m benchmarks.fleet

house: environment  ## size and shape of the code: lines, longest modules, imports, names of which there are two
	@$(BIN)/python tools/house.py

walk: daemons  ## the way of a start through the code: which modules it enters, in order
	@$(BIN)/python -m tools.walk

console-page: environment  ## fetch xterm.js from npm, for the page /console/{id}
	@$(BIN)/python -m deploy.local.console_page

golden: environment  ## accept what the API answers as it is now (see CONTRIBUTING.md)
	FLEET_GOLDEN=accept $(RUN_TESTS) tests/contract/test_golden_api.py

contract-lock: environment  ## accept the messages as they are now (see CONTRIBUTING.md)
	@$(BIN)/python -m shared.contracts.contract_lock

constraints: environment  ## pin the versions that are installed now
	$(BIN)/pip freeze --exclude-editable > constraints.txt

daemons: environment
	@$(BIN)/python -m deploy.local prepare-tests

browser: environment
	@$(BIN)/python -m deploy.local prepare-browser

# A VENV that the caller names is the caller's: it is used as it is.
environment:
ifeq ($(origin VENV),file)
	@$(PYTHON) -m deploy.local.bootstrap $(VENV)
endif
