# Everything runs in .venv, installed from the lock file. `make setup` is done by every other target when it is due.
PYTHON ?= python3
BIN := .venv/bin
PROTO := kv auth rpc v3lock v3election health reflection reflection_v1alpha agent

.PHONY: setup demo test quick fuzz check proto-current fmt lint types contracts proto wheel lock bench screenshots snapshots lab agent clean

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "c101 needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	# Commands start twice as fast with compiled code, and an environment may say not to write any on the way.
	-$(BIN)/python -m compileall -q .venv/lib core agents tui examples
	touch $@

setup: .venv/.installed

demo: setup
	@$(BIN)/c101-console demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile tests

quick: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" tests

fuzz: setup
	C101_FUZZ_SEQUENCES=20000 C101_KILLS=200 C101_POWER_CUTS=20000 $(BIN)/python -m pytest -n 2 --dist loadfile \
	  tests/kvserver/test_differential.py tests/kvserver/auth/test_random.py tests/linearizability/test_kills.py tests/disk/test_power_cuts.py

check: setup lint types contracts proto-current wheel

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

proto: setup
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. $(PROTO:%=c101/core/proto/%.proto)

proto-current: setup
	rm -rf build/proto && mkdir -p build/proto
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=build/proto --pyi_out=build/proto $(PROTO:%=c101/core/proto/%.proto)
	@for name in $(PROTO); do for end in _pb2.py _pb2.pyi; do \
	  cmp core/proto/$$name$$end build/proto/c101/core/proto/$$name$$end || { echo "generated code is stale: make proto"; exit 1; }; \
	done; done

wheel: setup
	$(BIN)/python tests/packaging/build_and_import.py

lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements.lock

bench: setup
	$(BIN)/python -m benchmarks.all

screenshots: setup
	$(BIN)/python -m screenshots.make

snapshots: setup
	$(BIN)/python -m pytest tests/tui --snapshot-update

agent: setup
	$(BIN)/python -m c101.agents.install $(TARGETS)

lab: setup
	$(BIN)/python -m tests.lab $(MACHINES)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .hypothesis
