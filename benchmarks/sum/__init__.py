"""``make bench-sum``: sealed sums beside plain ones, CKKS as NVFlare uses it, and Flower's SecAgg+."""
