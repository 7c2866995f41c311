# The two commands of the README are `make demo` and `make test`. Each installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/python -m uv
# Exact versions; no address of a registry is in the lock, so your own index is used.
LOCK := requirements.lock
# The engine of rules is installed first, and only where the wheel has a hash that stands here.
ENGINE := regorus.lock
PINNED = $(UV) pip install --quiet --require-hashes --no-deps --requirement $(ENGINE)
# mlgov-core and the provider: two distributions of one tree, installed from it together.
PROJECTS := pyproject.toml core/pyproject.toml
CORES := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 2)')
# Three workers mostly wait, each for an Airflow of its own: there are at least four, however few the cores.
WORKERS ?= $(shell echo $$(( $(CORES) > 4 ? $(CORES) : 4 )))
PYTEST := $(BIN)/python -m pytest
# Coverage costs a quarter of the CPU, so it is a run of its own.
COVERED := airflow_mlgov/results.py,airflow_mlgov/data/*,airflow_mlgov/gates/*,airflow_mlgov/evidence/*,airflow_mlgov/governance/*,airflow_mlgov/registry/*,airflow_mlgov/release/*
# Airflow, MLflow and their children start dozens of times: what they compile is kept, whatever the image says.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help install demo compose-init check test versions cover soak fuzz conformance bench peers docs licences sbom audit dist lint lock clean

help: ## what there is (ARGS="…" goes to the command behind a target)
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: .venv/.demo ## the package, with what the demo needs, into .venv

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"

.venv/.demo: $(LOCK) $(ENGINE) $(PROJECTS) | .venv/bin/python
	$(PINNED)
	$(UV) pip install --quiet --constraint $(LOCK) --editable core --editable '.[demo]'
	touch $@

.venv/.test: $(LOCK) $(ENGINE) $(PROJECTS) | .venv/bin/python
	$(PINNED)
	$(UV) pip install --quiet --requirement $(LOCK) --editable core --editable .
	touch $@ .venv/.demo

demo: .venv/.demo ## the whole story on this machine
	$(BIN)/mlgov demo $(ARGS)

compose-init: ## secrets for docker-compose.yaml: files of mode 0600 in secrets/, and .env
	$(PYTHON) deploy/compose/init.py

check: lint ## for every commit: linters, and the quick tests that need no server
	$(PYTEST) -q -n $(CORES) -m "not server and not live and not slow" $(ARGS)

test: .venv/.test ## every test, against real servers
	$(PYTEST) -n $(WORKERS) $(ARGS)

versions: .venv/.test ## what check tests and the operators, on other Pythons, Airflows and packages; the way to production on other MLflow servers
	$(BIN)/python -m tests.versions $(ARGS)
	$(BIN)/python -m tests.mlflow_servers

cover: .venv/.test ## every test with coverage: 90 % of what judges, signs, decides and promotes
	$(PYTEST) -n $(WORKERS) --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report --skip-covered
	$(BIN)/python -m coverage report --fail-under=90 --include='$(COVERED)'

soak: .venv/.test ## the tests that draw examples at random, fifty times as many examples
	MLGOV_SOAK=50 $(PYTEST) -n $(CORES) -m soak --timeout 0 $(ARGS)

fuzz: .venv/.test ## ten thousand bent policies, trust roots, packs, suites, statements, data and command lines, in 8 GB
	ulimit -v 8000000; MLGOV_FUZZ=10000 $(PYTEST) -q -n $(CORES) --dist load --timeout 0 tests/fuzz $(ARGS)

conformance: .venv/.test ## rules in regorus, an OPA server and the program opa: our probes, modules drawn at random, OPA's own cases
	$(BIN)/python -m tests.conformance $(ARGS)

bench: .venv/.test ## the gates against the libraries that they stand in for
	$(BIN)/python -m benchmarks $(ARGS)

peers: .venv/.test ## the gates against the examples in the docstrings of the libraries that they stand in for
	$(BIN)/python -m tests.peers $(ARGS)

licences: .venv/.test ## the licence of each package that an installation with all extras brings
	$(BIN)/python -m tests.licences all demo

sbom: .venv/.test ## what an installation with all extras brings, as CycloneDX, in dist/sbom.cdx.json
	$(BIN)/python -m tests.sbom dist/sbom.cdx.json all demo

audit: .venv/.test ## known vulnerabilities of what the lock lists (pip-audit in an environment of its own; ARGS=--must)
	$(BIN)/python -m tests.audit $(ARGS)

dist: .venv/bin/python ## wheels and sdists of both distributions, in dist/
	$(UV) build --quiet --out-dir dist core
	$(UV) build --quiet --out-dir dist .

docs: .venv/.test ## the documentation as a site, in .venv/site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs .venv/site $(ARGS)
	@echo "file://$(CURDIR)/.venv/site/index.html"

lint: .venv/.test ## ruff, codespell, mypy, and which floor may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lock: .venv/bin/python ## requirements.lock anew, for the versions in pyproject.toml
	$(UV) pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --quiet \
		--no-emit-package mlgov-core --extra test --extra lint --extra docs pyproject.toml --output-file $(LOCK)
	grep '^gordon-to-regorus==' $(LOCK) | $(UV) pip compile --universal --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --quiet --generate-hashes - --output-file $(ENGINE)

clean: ## .venv and what coverage left
	rm -rf .venv .coverage
