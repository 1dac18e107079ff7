# Every command works from nothing: the environment is made when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install demo up test lint format bench quality faults fuzz pictures constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     train on real tables through the whole real service, and predict"
	@echo "make up       run the service on http://127.0.0.1:8080 until Ctrl-C"
	@echo "make test     lint, types and all tests, on SQLite and PostgreSQL"
	@echo "make lint     ruff, mypy, import contracts, migration drift, dependencies"
	@echo "make bench    measure what the README claims; writes benchmarks/RESULTS.md"
	@echo "make quality  measure the default recipe beside others' defaults, on 13 tables; a quarter of an hour"
	@echo "make faults   kill, freeze and cut off every part for hours, on both databases, and see that nothing is lost"
	@echo "make fuzz     send CASES=20000 requests drawn from the OpenAPI document, and broken bytes to every parser"
	@echo "make pictures draw the pictures of docs/learning.md anew"
	@echo "make install  only make the environment in .venv"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "learnd needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing learnd into .venv; the first time takes a minute or two." >&2
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "Installing the tools of the tests into .venv." >&2
	$(PIP) install --constraint constraints.txt --editable '.[test,lint]'
	@touch $@

install: .venv/.installed

demo: .venv/.installed
	$(BIN)/learnd demo

up: .venv/.installed
	$(BIN)/learnd up

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/python -m store.migrating check

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Two tests at a time; those with whole services that are watched and killed have the machine to themselves.
ALONE := tests/faults tests/functional tests/fuzz tests/workers
test: lint
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(ALONE:%=--ignore=%)
	$(BIN)/pytest $(ALONE)

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

quality: .venv/.installed-dev
	$(BIN)/python -m benchmarks quality

faults: .venv/.installed-dev
	$(BIN)/pytest tests/faults --full -v --durations=0

CASES := 20000
fuzz: .venv/.installed-dev
	$(BIN)/pytest tests/fuzz --fuzz-cases $(CASES) -v -s

pictures: .venv/.installed
	$(BIN)/python -m docs.pictures

constraints: .venv/.installed-dev
	{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/^torch==.*/torch==2.13.0/'; } > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv .bench-env .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
