# The front door. Everything a person needs is a target here; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hipbmm
# One environment per lock file, outside the tree: a fresh clone with the same locks starts at once.
lock_hash = $(shell sha256sum requirements/$(1).txt | cut -c1-12)
TEST_ENV := $(CACHE)/venv/test-$(call lock_hash,test)
TORCH_ENV := $(CACHE)/venv/torch-$(call lock_hash,torch)
COMPAT_ENV := $(CACHE)/venv/compat-$(call lock_hash,compat)
export PYTHONPATH := operator:kernel:dev
export HIPBMM_TEST_PYTHON := $(TEST_ENV)/bin/python
export HIPBMM_TORCH_PYTHON := $(TORCH_ENV)/bin/python
export HIPBMM_COMPAT_PYTHON := $(COMPAT_ENV)/bin/python
SUITE := $(TEST_ENV)/bin/python -m suite

.PHONY: help demo demo-possible test unit lint coverage e2e bench soak compat goldens compat-env generate lock format cluster-up cluster-down clean torch-env kernel-zip

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(CACHE)/venv/%/.complete:
	@name=$*; set -e; echo "environment $$name: installing from requirements/$${name%%-*}.txt"; \
	rm -rf "$(@D)"; $(PYTHON) -m venv "$(@D)"; \
	"$(@D)/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "requirements/$${name%%-*}.txt"; touch "$@"

demo: demo-possible $(TEST_ENV)/.complete ## cluster, images, operator, one CR: watch it become tuned, warm, serving replicas
	@$(TEST_ENV)/bin/python -m demo

demo-possible:
	@$(PYTHON) -m demo.possible

test: $(TEST_ENV)/.complete ## everything CI runs: lint, unit, golden, kernel, chart, cluster, node, path
	@$(SUITE) all

unit: $(TEST_ENV)/.complete ## lint, unit and golden tests only (no cluster, no torch)
	@$(SUITE) quick

lint: $(TEST_ENV)/.complete ## ruff, mypy, import-linter
	@$(SUITE) lint

coverage: $(TEST_ENV)/.complete ## what the operator's own unit tests run of each of its rooms; fails under 85 %
	@$(SUITE) coverage

e2e: $(TEST_ENV)/.complete ## all tests on a real node: also the bad days that take too long for `make test`
	@$(SUITE) e2e

bench: $(TEST_ENV)/.complete $(TORCH_ENV)/.complete ## figures with a range file (bench/ranges.json)
	@$(SUITE) bench

soak: $(TEST_ENV)/.complete $(TORCH_ENV)/.complete ## long fault runs: kills, bit flips, outages, random specs and examples
	@$(SUITE) soak

compat: $(TEST_ENV)/.complete compat-env ## against real vLLM, without a GPU: flags, sizes, layers, rows (7 GB once)
	@$(SUITE) compat

goldens: compat-env ## the oracle's answers on real vLLM, for the unit tests (tests/golden/image)
	@$(COMPAT_ENV)/bin/python -m compat.goldens

compat-env: $(COMPAT_ENV)/.complete
	@$(COMPAT_ENV)/bin/python -m compat.environment

torch-env: $(TORCH_ENV)/.complete

generate: $(TEST_ENV)/.complete ## CRDs from the models, into crds/ and the chart
	@$(SUITE) generate

kernel-zip: ## the program for pods that are not ours, as one file in out/: its sha256 and size
	@mkdir -p out && $(PYTHON) -m hipbmm_kernel payload --zip out/hipbmm_kernel.zip

format: $(TEST_ENV)/.complete ## ruff format
	@$(TEST_ENV)/bin/ruff format . && $(TEST_ENV)/bin/ruff check --fix-only .

lock: ## rewrite requirements/*.txt from *.in (needs uv on PATH); no index address is written
	@for f in operator test torch compat; do \
	  uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
	    requirements/$$f.in -o requirements/$$f.txt; done

cluster-up: $(TEST_ENV)/.complete ## a real one-node Kubernetes on this machine (root)
	@$(TEST_ENV)/bin/python -m localkube up --profile node --name demo

cluster-down: $(TEST_ENV)/.complete ## remove it, with everything it made
	@$(TEST_ENV)/bin/python -m localkube down --name demo

clean: ## caches of the tools in this tree (binaries and environments stay in the cache directory)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis out
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
