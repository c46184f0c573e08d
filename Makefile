# Everything that one needs while working on Probity.

.PHONY: bench cluster tools

# A Kubernetes control plane with three fake nodes, until Ctrl-C.
cluster: tools
	cargo run --example cluster

# The figures that Probity promises, measured on this machine, each beside its limit. BENCH=NAME
# measures one of them: pods verdicts processing putback idle.
bench: tools
	BENCH=$(BENCH) cargo bench --bench probity

# The programs of that control plane, built from pinned Go modules.
tools:
	tests/cluster/build.sh
