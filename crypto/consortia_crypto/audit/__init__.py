"""The audit log without its disk: events, entries, tree and tiles, checkpoints, witnesses, policies, proofs."""
