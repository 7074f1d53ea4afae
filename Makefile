# make demo      set up and see the embedded model generate and infill
# make test      set up and run the tests (about 25 minutes on 2 cores)
# make test-all  the tests without an exception: whole products instead of coverings, slow suites (an hour and more)
# make check     lint, format, types, tests
# make bounds    the grammar engine against enumeration, with every index of its compiled loops checked (4 minutes)
# make docs      the documentation site, into site/; a broken link is an error
# make dist      the source distribution and the wheel, into dist/, and a check of both
# make clean     remove all that was made
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-all bounds check lint types docs dist clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

.venv/run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/dev: .venv/run
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@

.venv/docs: .venv/run
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	touch $@

.venv/release: .venv/run
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[release]"
	touch $@

demo: .venv/run
	$(BIN)/dllm doctor --warm
	$(BIN)/dllm generate --show --stats -n 32 -e '["Mary", "Linda", "Susan"]\nReverse the list.\n'
	$(BIN)/dllm chat --show --stats -n 32 -e 'Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name'
	$(BIN)/dllm infill --show --stats 'int sum(int a, int b) { return <mask:3>; }'

test: .venv/dev
	$(BIN)/python -m pytest -n 2

test-all: .venv/dev
	$(BIN)/python -m pytest -n 2 --full

# in one process: most of the time is compiling, which a second one would do again
bounds: .venv/dev
	NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest -p no:cacheprovider tests/grammars/test_engine.py tests/grammars/test_tricky.py

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

check: lint types test

docs: .venv/docs
	PATH="$(CURDIR)/$(BIN):$$PATH" NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo site/index.html

dist: .venv/release
	rm -rf build dist *.egg-info
	$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf .venv .cache build dist site *.egg-info
