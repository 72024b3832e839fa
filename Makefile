# The commands for everyday work. `make help` lists them.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TOOLS := target/tools
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TOOLS)/cargo-deny/bin/cargo-deny
CHART := charts/whatsapp-operator
MIGRATIONS := dataplane/src/store/database/sqlite/migrations dataplane/src/store/database/postgres/migrations
UPGRADE := target/upgrade
KINDS := whatsappsenders messagetemplates routingpolicies

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: need-build tools ## Follow one message from YAML to delivery; KEEP=1 keeps everything running
	@cargo build --quiet --workspace --bins
	@cargo run --quiet --package tests --bin demo

.PHONY: test
test: need-build need-sdks need-postgres tools ## Run every test
	cargo build --workspace --bins
	cargo test --workspace
	go -C tests/kstatus test ./...

.PHONY: test-next
test-next: need-build need-postgres tools ## Run the end-to-end tests on the next minor version of Kubernetes
	tests/cluster/build next
	cargo build --workspace --bins
	KUBERNETES=next cargo test --package tests --test e2e

.PHONY: soak
soak: need-build need-postgres ## Inject faults for SOAK_MINUTES (10), then compare every log with every other
	cargo build --package dataplane --package conservation --bins
	target/debug/soak

# The revision to upgrade from: the newest tag before this revision, else the parent of the commit that added the newest
# migration.
.PHONY: upgrade
upgrade: need-build need-postgres ## Run this build beside one of UPGRADE_FROM (the release before) on one database, as a rollout does
	@from=$${UPGRADE_FROM:-$$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || git log -1 --diff-filter=A --format=%h^ -- $(MIGRATIONS))}; \
	revision=$$(git rev-parse --verify --quiet "$$from^{commit}") || { echo "UPGRADE_FROM is '$$from': expected a revision of this repository" >&2; exit 1; }; \
	git worktree prune; \
	if [[ -e $(UPGRADE)/source ]]; then git -C $(UPGRADE)/source checkout --quiet --detach "$$revision"; \
	else git worktree add --quiet --detach $(UPGRADE)/source "$$revision"; fi; \
	echo "upgrading from $$from"
	cd $(UPGRADE)/source && CARGO_TARGET_DIR=$(CURDIR)/$(UPGRADE)/target cargo build --package dataplane --bins
	cargo build --package dataplane --package conservation --bins
	UPGRADE_PROGRAM=$(UPGRADE)/target/debug/whatsapp-dataplane target/debug/upgrade

.PHONY: lint
lint: need-build tools $(CARGO_DENY) ## Check formatting, lints, licences, the chart, and that generated files are current
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	$(CARGO_DENY) --log-level error check bans licenses sources
	test -z "$$(gofmt -l tests/cluster tests/kstatus)" || { gofmt -d tests/cluster tests/kstatus; exit 1; }
	go -C tests/cluster vet ./...
	go -C tests/kstatus vet ./...
	$(TOOLS)/helm lint --strict $(CHART) --set publicBaseUrl=https://whatsapp.example.com,image.repository=registry.example.com/whatsapp
	$(MAKE) --no-print-directory generate
	git diff --exit-code --stat -- crds $(CHART) dataplane/openapi.json docs/events.md tests/kstatus/testdata || { echo "generated files are out of date: commit what make generate wrote"; exit 1; }

.PHONY: generate
generate: need-build ## Write the generated files: CRDs, the chart's copy of them, OpenAPI, the page about events
	cargo run --quiet --package crds --bin crdgen -- crds
	cargo run --quiet --package dataplane --bin whatsapp-dataplane -- openapi > dataplane/openapi.json
	cargo run --quiet --package dataplane --bin whatsapp-dataplane -- events > docs/events.md
	UPDATE_STATES=1 cargo test --quiet --package operator --lib -- reconcile::states >/dev/null
	mkdir -p $(CHART)/templates/crds
	for kind in $(KINDS); do $(CHART)/crd-template crds/$$kind.yaml > $(CHART)/templates/crds/$$kind.yaml; done

.PHONY: bench
bench: need-build need-postgres tools ## Measure throughput, latency, processor time and memory against targets; BENCH_ONLY=webhooks runs a part
	cargo build --release --bins --package dataplane --package operator --package sandbox --package bench
	target/release/bench

.PHONY: tools
tools: need-build
	@tests/cluster/build

$(CARGO_DENY):
	cargo install --quiet --locked --debug cargo-deny --version $(CARGO_DENY_VERSION) --root $(TOOLS)/cargo-deny

# Missing tools are reported before anything is built.
.PHONY: need-build need-sdks need-postgres
need-build:
	@missing=(); \
	command -v cargo >/dev/null || missing+=("Rust 1.94 or newer, from https://rustup.rs"); \
	command -v go >/dev/null || missing+=("Go 1.26 or newer, from https://go.dev/dl"); \
	command -v cc >/dev/null || missing+=("a C compiler, such as the package build-essential"); \
	if (($${#missing[@]})); then printf 'missing: %s\n' "$${missing[@]}" >&2; exit 1; fi

need-sdks:
	@missing=(); \
	command -v npm >/dev/null || missing+=("Node.js 20 or newer with npm: the official Twilio SDK for Node is one of the tests' clients"); \
	command -v python3 >/dev/null || missing+=("Python 3.11 or newer: the official Twilio SDK for Python is one of the tests' clients"); \
	if (($${#missing[@]})); then printf 'missing: %s\n' "$${missing[@]}" >&2; exit 1; fi

# The tests' own search order: PG_BIN alone if it is set; otherwise Debian's folders, which are not in PATH, then PATH.
need-postgres:
	@IFS=:; for folder in $${PG_BIN-$$(printf '%s:' /usr/lib/postgresql/*/bin)$$PATH}; do \
	if [[ -x $$folder/initdb && -x $$folder/postgres && -x $$folder/psql && -x $$folder/pg_basebackup ]]; then exit 0; fi; done; \
	echo "missing: $${PG_BIN+in PG_BIN=$$PG_BIN: }the PostgreSQL server, such as the package postgresql (on other systems than Debian, set PG_BIN to the folder of initdb and postgres)" >&2; exit 1
