"""PURE: how models learn from one institution's rows and from sums over everybody's. numpy only, no rows leave it."""
