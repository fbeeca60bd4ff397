# Consortia: every command that a developer or a newcomer needs. `make` alone lists them.
#
# All of them work in .venv, which the first one makes from versions locked with hashes in requirements/.
# Nothing is installed outside it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTO := proto/consortia_proto/v1
RUNTIME := $(VENV)/.runtime
TOOLS := $(VENV)/.tools
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

.DEFAULT_GOAL := help
.PHONY: help demo test test-all fuzz bench-audit bench-consent bench-sum bench-exchange bench-statistics bench-train
.PHONY: check format proto lock audit-dependencies clean

help:  ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

demo: $(RUNTIME)  ## run the main job: three banks, a coordinator, a regulator, real data
	@$(BIN)/python -m examples.credit_risk.run

test: $(TOOLS)  ## run the test suite, on up to four processors
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --no-loadscope-reorder

test-all: $(TOOLS)  ## run the test suite with the long fault, scale and fuzz runs
	@$(BIN)/python -m pytest -m ""

fuzz: $(TOOLS)  ## feed hostile bytes to everything that reads a peer's, for ten minutes (SECONDS=…)
	@$(BIN)/python -W ignore -m tests.fuzz.run --seconds $(or $(SECONDS),600)

bench-audit: $(RUNTIME)  ## measure the audit log against the disk and the hash function under it
	@$(BIN)/python -m benchmarks.audit

bench-consent: $(RUNTIME)  ## measure importing a million consents, and applying them to a scan
	@$(BIN)/python -m benchmarks.consent

bench-statistics: $(RUNTIME)  ## measure joint statistics of three banks against their own queries
	@$(BIN)/python -m benchmarks.statistics.run

bench-train: $(TOOLS)  ## measure trees of three banks against LightGBM, sealed rounds against plain ones
	@$(BIN)/python -W ignore -m benchmarks.train.run

bench-sum: $(RUNTIME)  ## measure sealed sums against plain ones, CKKS and SecAgg+, and print who learns what
	@$(BIN)/python -m benchmarks.sum.run

bench-exchange: $(RUNTIME)  ## measure the exchange from 3 to 200 nodes beside plaintext gRPC and Flower's engine
	@GRPC_VERBOSITY=ERROR $(BIN)/python -m benchmarks.exchange.run

check: $(TOOLS)  ## style, types, import contracts, generated code up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.tools.stubs --check

format: $(TOOLS)  ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: $(TOOLS)  ## generate the code of the wire contract from proto/
	@$(BIN)/python -m tests.tools.stubs --write

lock: $(TOOLS)  ## resolve the newest allowed versions and lock them with hashes
	@$(BIN)/python -m tests.tools.lock

audit-dependencies: $(TOOLS)  ## ask the advisory database about the locked versions
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/runtime.txt

clean:  ## remove what the other commands made
	rm -rf $(VENV) .demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Consortia needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …")'
	@echo "· making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "· installing the locked versions (about a minute, the first time)"
	@$(INSTALL) --require-hashes -r requirements/runtime.txt
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(TOOLS): requirements/dev.txt $(RUNTIME)
	@echo "· installing the development tools"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
