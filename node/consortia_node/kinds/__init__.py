"""What this institution's worker computes for each job kind: one module a kind, found by its file name."""
