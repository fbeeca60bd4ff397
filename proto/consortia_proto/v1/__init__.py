"""Version 1 of the wire contract (package consortia.v1)."""
