"""Sealed sums: adding vectors that nobody but the institutions may read (policy, packing, both sides)."""
