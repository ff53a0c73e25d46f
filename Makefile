# make demo   the whole pipeline on real PubMed records, then its report
# make test   every test: the slow ones and the others beside each other, on two cores
# make soak   campaigns of kills, faults and random examples, larger than those of the tests
# make check  lint, types and the fast tests
# make clean  remove the demo run and the caches; other runs, .venv and the fetched weights stay

PYTHON ?= python3
SHELL := /bin/bash
BIN := .venv/bin

.PHONY: demo test test-fast test-slow soak check clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medr_ray needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[embedded,test]'
	touch $@

demo: .venv/.installed
	$(BIN)/medr models fetch
	$(BIN)/medr run -c configs/quickstart.yaml

# Slow tests mostly wait: for Ray, for processes, for deadlines. The fast ones compute meanwhile.
# --keep-going: a failure in one half does not hide what the other half finds.
test: .venv/.installed
	$(BIN)/medr models fetch
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going test-slow test-fast

test-slow: .venv/.installed
	$(BIN)/python -m pytest -m slow --durations=60 -o cache_dir=.pytest_cache/slow

test-fast: .venv/.installed
	$(BIN)/python -m pytest -m 'not slow' --durations=60 -o cache_dir=.pytest_cache/fast

soak: .venv/.installed
	$(BIN)/python -m pytest -m soak --durations=0

check: .venv/.installed
	$(BIN)/ruff check medr_ray jobs tests
	$(BIN)/ruff format --check medr_ray jobs tests
	$(BIN)/mypy -p medr_ray
	$(BIN)/python -m pytest -m 'not slow'

clean:
	rm -rf runs/quickstart build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find medr_ray jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
