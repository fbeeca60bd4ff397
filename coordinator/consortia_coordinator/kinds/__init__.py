"""How the coordinator conducts each job kind: one module a kind, found by its file name."""
