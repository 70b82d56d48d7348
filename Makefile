# `make test` is the one command that shows that everything works. Each target installs what it needs.
# LETHE_BIN names another gateway binary for the client tests and benches.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: test test-rust test-receipts test-clients clients-table test-clients-direct test-full conformance conformance-ci conformance-update conformance-doc lint deny docs bench bench-memory bench-rekey apt-packages clean-testbed

TESTBED := target/testbed
VENV := $(TESTBED)/venv
RECEIPTS_VENV := $(TESTBED)/receipts-venv
LIBRARIES_VENV := $(TESTBED)/libraries-venv
NODE_PROGRAMS := $(TESTBED)/node
CLIENT_PROGRAMS := LETHE_LIBRARIES_PYTHON=$(abspath $(LIBRARIES_VENV))/bin/python LETHE_NODE_PROGRAMS=$(abspath $(NODE_PROGRAMS))
CONFORMANCE_VENV := $(TESTBED)/conformance-venv
CONFORMANCE = PYTHONPATH=tests:tests/clients LETHE_BIN="$${LETHE_BIN:-$(abspath $(TARGET_DIR))/debug/lethe}" \
  $(CONFORMANCE_VENV)/bin/python -m conformance --shards $(WORKERS)
PYTEST := $(VENV)/bin/pytest -c tests/clients/pytest.ini --rootdir tests/clients
WORKERS ?= 2
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TESTBED)/cargo-tools/bin/cargo-deny
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Backtraces need lines; the rest of the debug information only costs disk and link time.
export CARGO_PROFILE_DEV_DEBUG ?= line-tables-only
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

test: test-rust test-receipts test-clients

# Its programs are in the clients' environment.
test-rust: apt-packages $(VENV)/installed
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --no-fail-fast; else cargo test --workspace --lib --bins --tests --no-fail-fast; fi
	cargo test --workspace --doc

# Other people's tools, a second verifier, a browser and the command line read the frozen receipts.
test-receipts: apt-packages $(RECEIPTS_VENV)/installed
	cargo build --bin lethe
	LETHE_BIN="$${LETHE_BIN:-$(abspath $(TARGET_DIR))/debug/lethe}" $(RECEIPTS_VENV)/bin/pytest -c tests/receipts/pytest.ini --rootdir tests/receipts tests/receipts

test-clients: apt-packages $(VENV)/installed $(LIBRARIES_VENV)/installed $(NODE_PROGRAMS)/installed
	cargo build --bin lethe
	$(CLIENT_PROGRAMS) LETHE_BIN="$${LETHE_BIN:-$(abspath $(TARGET_DIR))/debug/lethe}" $(PYTEST) -n $(WORKERS) --dist loadfile tests/clients

# Writes docs/clients.md: what each client was seen doing.
clients-table: apt-packages $(VENV)/installed $(LIBRARIES_VENV)/installed $(NODE_PROGRAMS)/installed
	cargo build --bin lethe
	$(CLIENT_PROGRAMS) LETHE_BIN="$${LETHE_BIN:-$(abspath $(TARGET_DIR))/debug/lethe}" $(PYTEST) -n $(WORKERS) --dist loadfile \
	  --clients-table docs/clients.md tests/clients/test_client_matrix.py tests/clients/test_cli_clients.py

# The same tests against SeaweedFS alone: shows that they are right about S3.
test-clients-direct: apt-packages $(VENV)/installed
	$(PYTEST) -n $(WORKERS) --dist loadfile --direct tests/clients

# The public S3 suite on SeaweedFS and through Lethe, compared: PyPI's older copy, or SUITE=/path/to/s3-tests.
conformance: $(CONFORMANCE_VENV)/installed
	cargo build --bin lethe
	@$(CONFORMANCE) measure $(if $(SUITE),--suite $(SUITE))

# PyPI's copy through Lethe, each outcome as tests/conformance/expected.txt has it.
conformance-ci: $(CONFORMANCE_VENV)/installed
	cargo build --bin lethe
	PYTHONPATH=tests/clients $(CONFORMANCE_VENV)/bin/pytest -q -p no:cacheprovider tests/conformance
	$(CONFORMANCE) check

conformance-update: $(CONFORMANCE_VENV)/installed
	cargo build --bin lethe
	$(CONFORMANCE) update

# docs/conformance.md out of the reports of the last `make conformance` with and without SUITE.
conformance-doc: $(CONFORMANCE_VENV)/installed
	$(CONFORMANCE) document

# What takes too long for every change: load, memory, and the kill runs again and again.
test-full: test
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --run-ignored ignored-only --no-tests=pass; else cargo test --workspace -- --ignored; fi
	for round in 1 2 3 4 5; do \
	  LETHE_BIN="$${LETHE_BIN:-$(abspath $(TARGET_DIR))/debug/lethe}" $(PYTEST) -n $(WORKERS) --dist loadfile tests/clients/test_crash.py; \
	done
	$(MAKE) bench-memory

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Advisories need a database that only a machine with full network access can fetch: `cargo deny check advisories` there.
deny: $(CARGO_DENY)
	$(CARGO_DENY) check bans licenses sources

# Unoptimised: it compiles in a third of the time and runs once.
$(CARGO_DENY):
	cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --debug --root $(TESTBED)/cargo-tools --target-dir $(TESTBED)/cargo-tools/target
	rm -rf $(TESTBED)/cargo-tools/target

bench: $(VENV)/installed
	cargo build --release --bin lethe
	cd tests/clients && LETHE_BIN="$${LETHE_BIN:-$(abspath $(TARGET_DIR))/release/lethe}" $(abspath $(VENV))/bin/python -m bench.throughput

bench-memory: $(VENV)/installed
	cargo build --release --bin lethe
	cd tests/clients && LETHE_BIN="$${LETHE_BIN:-$(abspath $(TARGET_DIR))/release/lethe}" $(abspath $(VENV))/bin/python -m bench.memory

# What a move of the root costs with 1,000, 100,000 and a million tenants. LETHE_BENCH_TENANTS names other numbers.
bench-rekey: apt-packages
	LETHE_BENCH_TENANTS="$${LETHE_BENCH_TENANTS:-1000,100000,1000000}" cargo test --release -p lethe-keys --lib rekey_benchmark -- --ignored --nocapture --test-threads 1

# What the inventory of a tenant costs with 1,000, 100,000 and a million objects. LETHE_BENCH_OBJECTS names other numbers.
bench-inventory: $(VENV)/installed
	PATH="$(abspath $(VENV))/bin:$$PATH" LETHE_BENCH_OBJECTS="$${LETHE_BENCH_OBJECTS:-1000,100000,1000000}" cargo test --release -p lethe --lib inventory_benchmark -- --ignored --nocapture --test-threads 1

# Debian's packages, asked for only where their programs are missing.
apt-packages:
	missing=(); \
	for pair in restic:restic s3cmd:s3cmd docker-compose:docker-compose chromium:chromium node:nodejs npm:npm openssl:openssl jq:jq; do \
	  command -v "$${pair%%:*}" >/dev/null || missing+=("$${pair#*:}"); \
	done; \
	[ -x /usr/bin/aws ] || missing+=(awscli); \
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql); \
	python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv); \
	if [ "$${#missing[@]}" -gt 0 ]; then \
	  $(SUDO) apt-get update -q; \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -q -y --no-install-recommends "$${missing[@]}"; \
	fi

$(VENV)/installed: tests/clients/requirements.txt | apt-packages
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r tests/clients/requirements.txt
	touch $@

$(RECEIPTS_VENV)/installed: tests/receipts/requirements.txt | apt-packages
	python3 -m venv $(RECEIPTS_VENV)
	$(RECEIPTS_VENV)/bin/pip install -q --disable-pip-version-check -r tests/receipts/requirements.txt
	touch $@

$(LIBRARIES_VENV)/installed: tests/clients/programs/requirements.txt | apt-packages
	python3 -m venv $(LIBRARIES_VENV)
	$(LIBRARIES_VENV)/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

# Node.js looks for packages beside the program that asks for them.
$(NODE_PROGRAMS)/installed: tests/clients/programs/package.json tests/clients/programs/package-lock.json tests/clients/programs/sdk_v3.mjs | apt-packages
	mkdir -p $(NODE_PROGRAMS)
	cp $^ $(NODE_PROGRAMS)
	npm ci --prefix $(NODE_PROGRAMS) --no-audit --no-fund --loglevel=error
	touch $@

$(CONFORMANCE_VENV)/installed: tests/conformance/requirements.txt tests/clients/requirements.txt | apt-packages
	python3 -m venv $(CONFORMANCE_VENV)
	$(CONFORMANCE_VENV)/bin/pip install -q --disable-pip-version-check -r tests/conformance/requirements.txt
	touch $@

clean-testbed:
	rm -rf $(TESTBED)
