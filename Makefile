# Each target first sets up .venv if needed. HARNESS_HOME and HARNESS_DATABASE_URL are honoured.
.PHONY: demo test test-all compiled check docs lab lab-up lab-down setup lock clean help

comma := ,
BIN := .venv/bin
READY := .venv/.ready
# A machine with an NVIDIA driver also gets the CUDA libraries that TensorFlow needs.
EXTRAS := dev$(if $(wildcard /proc/driver/nvidia/version),$(comma)gpu)
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
SOURCES := harness tests benchmarks db/migrations tools
DOCUMENTS := README.md CHANGELOG.md CONTRIBUTING.md docs

help:
	@echo "make demo    set up, train a small sweep, benchmark it here, print the comparison"
	@echo "make test    run the tests that a change needs: a few minutes"
	@echo "make test-all  run every test that needs no root, with coverage"
	@echo "make lab     root: emulated ARM64 boards and an adb phone, and the tests that use them"
	@echo "make lab-up  start the lab and keep it running, for .lab/devices.yaml; make lab-down stops it"
	@echo "make check   format, lint, types, architecture, docs"
	@echo "make docs    build the documentation as a website: site/index.html"
	@echo "make lock    resolve constraints.txt again"

demo: $(READY)
	$(BIN)/harness submit sweep jobs/quickstart.yaml --bench
	@echo
	$(BIN)/harness compare float32 binary

# Keep the order that tests/workers.py gives: the slow group on Ray runs first.
PYTEST := $(BIN)/pytest --no-loadscope-reorder --ignore=tests/lab

test: $(READY) compiled
	$(PYTEST) -n 2 -m "not full"

# Many of these wait for a device or a lock: more workers than cores keep the cores busy.
test-all: $(READY) compiled
	$(PYTEST) -n 3 --durations=20 --cov --cov-report=term:skip-covered

# The tests start very many processes. None compiles a module, even if Python writes no bytecode.
compiled: $(READY)
	@$(BIN)/python -m compileall -q harness tests

lab: $(READY)
	$(BIN)/pytest -n 2 tests/lab

lab-up: $(READY)
	$(BIN)/python -m tests.lab up

lab-down: $(READY)
	$(BIN)/python -m tests.lab down

check: $(READY)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v shellcheck >/dev/null; then shellcheck harness/devices/agent.sh; else echo "agent.sh was not checked: shellcheck is not installed"; fi
	$(BIN)/python tools/readability.py --check $(SOURCES) $(DOCUMENTS)
	$(BIN)/python -m tests.check_docs
	$(MKDOCS) build --strict

docs: $(READY)
	$(BIN)/python -m tools.reference
	$(MKDOCS) build --strict

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@PYTHON="$$(sh tools/find-python)" && { test -x $(BIN)/python || "$$PYTHON" -m venv .venv; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

lock:
	sh tools/lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
