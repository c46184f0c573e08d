# Everything that one needs while working on Probity.

.PHONY: cluster generate tools

# A Kubernetes control plane with three fake nodes, until Ctrl-C.
cluster: tools
	cargo run --example cluster

# The programs of that control plane, built from pinned Go modules.
tools:
	tests/cluster/build.sh

# The files that are made from the controls and the API: CRDs, chart rights, docs/controls, the baseline policy.
generate:
	cargo run --quiet -- generate
