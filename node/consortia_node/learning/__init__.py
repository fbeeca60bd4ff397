"""PURE: how models learn from one institution's rows and from sums over everybody's; no row leaves it."""
