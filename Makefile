# Everything that one needs while working on Probity. `make demo` and `make test` start from nothing.

.PHONY: demo test soak lint unit integration generate bench cluster tools

# The main job on a real control plane: drift in four families, put back. KEEP=1 keeps it up.
demo: tools
	cargo build --quiet --bin probity --example demo
	KEEP=$(KEEP) cargo run --quiet --example demo

# Every test.
test: lint tools
	cargo test --locked

# The tests that take too long for every day.
soak: tools
	cargo test --locked --release -- --ignored

# Formatting and lints.
lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

# The quick tests: no control plane.
unit:
	cargo test --locked --lib

# The tests on a real control plane.
integration: tools
	cargo test --locked --test integration

# Writes the files that are generated from the controls: CRDs, chart rights, documentation.
generate:
	cargo run --quiet --bin probity -- generate .

# The figures that Probity promises, measured on this machine, each beside its limit. BENCH=NAME
# measures one of them: pods verdicts scale network rbac processing putback idle log.
bench: tools
	BENCH=$(BENCH) cargo bench --bench probity

# A Kubernetes control plane with three fake nodes, until Ctrl-C.
cluster: tools
	cargo run --example cluster

# The programs of that control plane, built from pinned Go modules.
tools:
	tests/cluster/build.sh
