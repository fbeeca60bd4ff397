"""Sealed sums beside plain ones, CKKS as NVFlare uses it, the lattice engine and Flower's SecAgg+: ``make bench-sum``."""
