# Everything that one needs while working on Probity. `make demo` and `make test` start from nothing.

.PHONY: demo test lint unit integration generate bench soak cluster image image-test tools

# The main job on a real control plane: drift in four families, put back. KEEP=1 keeps it up.
demo: tools
	cargo build --quiet --bin probity --example demo
	KEEP=$(KEEP) cargo run --quiet --example demo

# Every test.
test: lint tools
	cargo test --locked

# The tests that take too long for every day: among them a full year in simulated time.
soak: tools
	cargo test --locked --release -- --ignored --nocapture

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
# measures one of them: pods verdicts scale network rbac processing putback idle parquet log report.
bench: tools
	BENCH=$(BENCH) cargo bench --bench probity

# A Kubernetes control plane with three fake nodes, until Ctrl-C.
cluster: tools
	cargo run --example cluster

# The image for this machine's architecture, with SBOM and provenance, in target/image.
image:
	image/build.sh

# Runs that image, with nothing but itself, as its user and with a root that can't be written. Needs root.
image-test: tools
	PROBITY_IMAGE="$$(ls $(CURDIR)/target/image/probity-*.tar)" CI=true cargo test --locked --test integration image::

# The programs of that control plane, built from pinned Go modules.
tools:
	tests/cluster/build.sh
