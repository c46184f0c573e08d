# Everything that one needs while working on Probity.

.PHONY: cluster demo tools

# A Kubernetes control plane with three fake nodes, until Ctrl-C.
cluster: tools
	cargo run --example cluster

# From nothing to drift that is put back. KEEP=1 keeps everything up until Ctrl-C.
demo: tools
	cargo build --quiet --bin probity --example demo
	KEEP=$(KEEP) cargo run --quiet --example demo

# The programs of that control plane, built from pinned Go modules.
tools:
	tests/cluster/build.sh
