# The two commands of the README are `make demo` and `make test`. Each installs what it needs into .venv.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/python -m uv
# Exact versions; no address of a registry is in the lock, so your own index is used.
LOCK := requirements.lock
# Airflow, MLflow and their children start dozens of times: what they compile is kept, whatever the image says.
export PYTHONDONTWRITEBYTECODE =

.PHONY: install demo test bench lint lock clean

install: .venv/.demo

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"

.venv/.demo: $(LOCK) pyproject.toml | .venv/bin/python
	$(UV) pip install --quiet --constraint $(LOCK) --editable '.[demo]'
	touch $@

.venv/.test: $(LOCK) pyproject.toml | .venv/bin/python
	$(UV) pip install --quiet --requirement $(LOCK) --editable .
	touch $@ .venv/.demo

demo: .venv/.demo
	$(BIN)/mlgov demo $(ARGS)

test: .venv/.test
	$(BIN)/python -m coverage erase
	$(BIN)/python -m pytest --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report --skip-covered
	$(BIN)/python -m coverage report --fail-under=90 --include='airflow_mlgov/results.py,airflow_mlgov/data/*,airflow_mlgov/gates/*,airflow_mlgov/evidence/*,airflow_mlgov/governance/*,airflow_mlgov/registry/*,airflow_mlgov/release/*'

bench: .venv/.test
	$(BIN)/python -m benchmarks $(ARGS)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lock: .venv/bin/python
	$(UV) pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --quiet \
		--extra test --extra lint pyproject.toml --output-file $(LOCK)

clean:
	rm -rf .venv .coverage
