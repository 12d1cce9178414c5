# `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml hatch_build.py $(wildcard proto/explaind/*/*.proto proto/explaind/*/*/*.proto)

.PHONY: demo demo-torchserve test lint bench evaluate clean

demo: $(VENV)/.server ## Explain three real digits and one shoe over real gRPC
	$(BIN)/explaind demo

demo-torchserve: $(VENV)/.dev ## The same digit through TorchServe: agreement and the cost of the hop
	$(BIN)/explaind demo --torchserve

test: $(VENV)/.dev ## The whole test suite, file by file in two processes: much of it waits for servers to start
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: $(VENV)/.dev ## Everything side by side, in about a quarter of an hour; BENCH='--help' tells of its options
	$(BIN)/python -m tests.benchmarks $(BENCH)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check-protos
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/yamllint -s -c deploy/.yamllint deploy

evaluate: $(VENV)/.dev ## Measure the bundle on the whole test set (needs the data sets)
	$(BIN)/explaind evaluate model_store/mnist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.server: $(INPUTS) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[server]'
	touch $@

$(VENV)/.dev: $(INPUTS) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.server

clean:
	rm -rf $(VENV) build dist out .mypy_cache .ruff_cache .pytest_cache explaind/v1 explaind/backends/torchserve_stubs explaind/backends/onnx_stubs
