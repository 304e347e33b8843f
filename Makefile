# Two commands: `make demo` trains a network, `make test` checks everything.
# PYTHON chooses the interpreter (3.10 or newer) that .venv is made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench clean

help:
	@echo "make demo    train a small convolutional network on handwritten digits"
	@echo "make test    tests, examples, linter and type checker"
	@echo "make bench   measure against PyTorch, where it is installed"
	@echo "make clean   remove $(VENV) and what the tools left behind"

# A stamp per set of extras: the demo does not wait for the test tools.
$(VENV)/demo.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("DeZero: expected Python 3.10 or newer, got %s; write: make PYTHON=python3.12" % sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[plot]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/demo.stamp
	$(BIN)/python -m dezero demo

test: lint types
	$(BIN)/python -m pytest -q

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
