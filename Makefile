# Everything a person types here; `make help` lists it. Needs Python 3.11 or newer with pip, and no server.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:

PYTHON ?= python3
UV := .uv/bin/uv
BIN := .venv/bin
BASE := .venv/.base.stamp
DEV := .venv/.dev.stamp
RIVALS := .rivals/.stamp
MLFLOW_SERVER := .mlflow-server/.stamp
EXTRAS := aws kafka kubernetes postgres recommender redis search serving spark torch
WORKERS ?= 2
FROM ?= 2013-07-01
TO ?= 2013-07-31

export UV_PYTHON_DOWNLOADS := never
export VIRTUAL_ENV := $(CURDIR)/.venv
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help setup demo backfill ui test test-services test-kubernetes lint format types lock clean mlflow-server postgresql redis chromium etcd kubernetes-control-plane

help: ## This list
	@sed -nE 's/^([a-z%-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(BASE) ## Install into .venv what running takes
setup-%: .venv/.%.stamp ## Add an extra: aws kafka kubernetes postgres recommender redis search serving spark torch
	@true

demo: $(BASE) ## Half a year of flights from raw tables to a drift report, then the UI; ARGS=--no-ui ends before it
	$(BIN)/lakeline demo $(ARGS)

backfill: $(BASE) ## Build the days FROM=2013-07-01 TO=2013-07-31
	$(BIN)/lakeline backfill --from $(FROM) --to $(TO) $(ARGS)

ui: $(BASE) ## The Dagster UI on what is there
	$(BIN)/lakeline ui $(ARGS)

test: $(DEV) ## The tests that need no server, on WORKERS=2 processes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-services: $(DEV) $(MLFLOW_SERVER) postgresql redis chromium ## The tests on real servers, which they start and end; nothing is skipped
	LAKELINE_REQUIRE_SERVICES=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "services or browser" $(ARGS)

test-kubernetes: $(DEV) .venv/.kubernetes.stamp postgresql kubernetes-control-plane ## The tests on a Kubernetes cluster of this machine, which they start and end
	LAKELINE_REQUIRE_SERVICES=1 $(BIN)/python -m pytest -m kubernetes $(ARGS)

lint: $(DEV) ## Style: ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV) ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV) ## Types: mypy strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright

bench-%: $(BASE) ## One benchmark of benchmarks/; its last line is one JSON object
	$(BIN)/python benchmarks/bench_$(subst -,_,$*).py $(ARGS)

bench-convergence: $(DEV) # makes its cases with Hypothesis
bench-pit bench-pit-speed: $(DEV) $(RIVALS)
bench-online: $(DEV) redis
bench-train bench-quality bench-reproduce: .venv/.torch.stamp
bench-recommender: .venv/.recommender.stamp
bench-placement: $(DEV) .venv/.torch.stamp .venv/.kubernetes.stamp postgresql kubernetes-control-plane

# Every lock is cut from one resolution of all extras, so that they can be installed over each other.
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 $(UPGRADE)
lock: $(UV) ## Write requirements/*.lock anew; UPGRADE=--upgrade moves the versions
	$(COMPILE) requirements/tool.in -o requirements/tool.lock
	$(COMPILE) requirements/rivals.in -o requirements/rivals.lock
	$(COMPILE) requirements/mlflow-server.in -o requirements/mlflow-server.lock
	$(COMPILE) pyproject.toml --all-extras -o .uv/all.lock
	$(COMPILE) -c .uv/all.lock pyproject.toml -o requirements/base.lock
	$(COMPILE) -c .uv/all.lock pyproject.toml --extra dev --extra services --extra postgres --extra aws --extra redis -o requirements/dev.lock
	for extra in $(EXTRAS); do $(COMPILE) -c .uv/all.lock pyproject.toml --extra $$extra -o requirements/$$extra.lock; done

clean: ## Remove what was installed and cached; state/ stays
	rm -rf .venv .rivals .mlflow-server .uv .mypy_cache .pytest_cache .ruff_cache dbt/target dbt/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the above stand on ------------------------------------------------------------------

$(UV): requirements/tool.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lakeline needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Run: make PYTHON=python3.11")'
	$(PYTHON) -m pip install --quiet --root-user-action=ignore --upgrade --target .uv --require-hashes -r requirements/tool.lock
	@touch $@

$(BIN)/python: | $(UV)
	$(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv

.venv/.%.stamp: requirements/%.lock pyproject.toml $(UV) | $(BIN)/python
	$(UV) pip install --quiet --require-hashes -r $<
	$(UV) pip install --quiet --no-deps --build-constraint requirements/tool.lock -e .
	@touch $@

# What benchmarks compare with and lakeline cannot share an environment with.
$(RIVALS): requirements/rivals.lock $(UV)
	$(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .rivals
	$(UV) pip install --quiet --python .rivals/bin/python --require-hashes -r $<
	@touch $@

# MLflow's server, a model registry for many machines, cannot share an environment with lakeline either.
mlflow-server: $(MLFLOW_SERVER) ## Install MLflow's server into .mlflow-server; docs/models.md says how it is started
$(MLFLOW_SERVER): requirements/mlflow-server.lock $(UV)
	$(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .mlflow-server
	$(UV) pip install --quiet --python .mlflow-server/bin/python --require-hashes -r $<
	@touch $@

# Servers come from the system's packages; as root they are installed, else a person is told how.
define debian
	@$(1) || { test "$$(id -u)" = 0 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null; } \
	  || { echo "The tests need $(2). Run: sudo apt-get install $(2)"; exit 1; }
endef
postgresql:
	$(call debian,compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null,postgresql)
redis:
	$(call debian,command -v redis-server >/dev/null,redis-server)
chromium:
	$(call debian,command -v chromium chromium-browser google-chrome >/dev/null,chromium)
etcd:
	$(call debian,command -v etcd >/dev/null,etcd-server)
kubernetes-control-plane: etcd
	@$(PYTHON) -m tests.kubernetes.control_plane
