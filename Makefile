# make demo      set up and see the embedded model generate and infill
# make test      set up and run the tests (at most 6 minutes on 2 cores)
# make test-all  the tests without an exception: whole products instead of coverings, slow suites (20 minutes)
# make check     lint, format, types, tests
# make bounds    the grammar engine against enumeration, with every index of its compiled loops checked (2 minutes)
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all bounds check lint types clean

.venv/run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/dev: .venv/run
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@

demo: .venv/run
	$(BIN)/dllm generate --show --stats -n 32 -e '["Mary", "Linda", "Susan"]\nReverse the list.\n'
	$(BIN)/dllm chat --show --stats -n 32 -e 'Name: Ana, Age: 31, City: Rome\nWrite JSON with keys: age, name'
	$(BIN)/dllm infill --show --stats 'int add(int a, int b) { return <mask:3>; }'

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

clean:
	rm -rf .venv .cache build dist *.egg-info
