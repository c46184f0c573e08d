# Everything that one needs while working on Probity.

.PHONY: cluster tools

# A Kubernetes control plane with three fake nodes, until Ctrl-C.
cluster: tools
	cargo run --example cluster

# The programs of that control plane, built from pinned Go modules.
tools:
	tests/cluster/build.sh
