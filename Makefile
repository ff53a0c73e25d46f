# make demo   the whole pipeline on real PubMed records, then its report
# make test   every test, in six parts: five of them two at a time, on two cores, and one alone
# make soak   campaigns of kills, faults and random examples, larger than those of the tests
# make check  lint, types and the fast tests
# make clean  remove the demo run and the caches; other runs, .venv and the fetched weights stay

PYTHON ?= python3
SHELL := /bin/bash
BIN := .venv/bin

.PHONY: demo test test-alone test-beside test-processes test-end-to-end test-ray \
	test-fast-first test-fast-rest fetch-models compile-corpus compile-entities soak check clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medr_ray needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[embedded,test]'
	touch $@

demo: .venv/.installed
	$(BIN)/medr models fetch
	$(BIN)/medr run -c configs/quickstart.yaml

# Two parts at a time: tests on Ray wait half of the time, for workers that start and for deadlines.
# With a third one on two cores, Ray's nodes take too long to start. The longest come first and the
# shortest last, so that neither core waits for long at the end.
# --keep-going: a failure in one part does not hide what the others find.
test: .venv/.installed
	@$(MAKE) --no-print-directory --jobs=3 fetch-models compile-corpus compile-entities
	@$(MAKE) --no-print-directory --jobs=1 --keep-going test-alone test-beside

test-beside: .venv/.installed
	@echo 'Five parts, two at a time; each prints its tests when it is done.'
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going \
		test-processes test-ray test-end-to-end test-fast-first test-fast-rest

fetch-models: .venv/.installed
	$(BIN)/medr models fetch

compile-corpus compile-entities: .venv/.installed
	$(BIN)/python tests/support/compile_code.py $(@:compile-%=%)

# Only the files with such a test: pytest imports a file before it looks at the marks of its tests,
# and importing all of them takes half a minute.
END_TO_END := tests/test_end_to_end.py
find_marked = $(shell grep -rl --include='test_*.py' 'mark\.$(1)' tests | sort)

test-alone: .venv/.installed
	$(BIN)/python -m pytest $(call find_marked,alone) -m alone \
		--durations=60 -o cache_dir=.pytest_cache/alone

test-processes: .venv/.installed
	$(BIN)/python -m pytest $(filter-out $(END_TO_END),$(call find_marked,processes)) -m processes \
		--durations=60 -o cache_dir=.pytest_cache/processes

test-end-to-end: .venv/.installed
	$(BIN)/python -m pytest $(END_TO_END) --durations=60 -o cache_dir=.pytest_cache/end-to-end

test-ray: .venv/.installed
	$(BIN)/python -m pytest $(call find_marked,slow) -m 'slow and not (processes or alone)' \
		--durations=60 -o cache_dir=.pytest_cache/ray

# The rooms from agent to graph, which take half of the time, and all the others.
FAST_FIRST := $(wildcard tests/[a-g]*/)

test-fast-first: .venv/.installed
	$(BIN)/python -m pytest $(FAST_FIRST) -m 'not slow' \
		--durations=60 -o cache_dir=.pytest_cache/fast-first

test-fast-rest: .venv/.installed
	$(BIN)/python -m pytest $(FAST_FIRST:%=--ignore=%) -m 'not slow' \
		--durations=60 -o cache_dir=.pytest_cache/fast-rest

# -rA: with what the campaigns print, such as their seeds.
soak: .venv/.installed
	$(BIN)/python -m pytest $(call find_marked,soak) -m soak --durations=0 -rA

check: .venv/.installed
	$(BIN)/ruff check medr_ray jobs tests
	$(BIN)/ruff format --check medr_ray jobs tests
	$(BIN)/mypy -p medr_ray
	$(BIN)/python -m pytest -m 'not slow'

clean:
	rm -rf runs/quickstart build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find medr_ray jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
