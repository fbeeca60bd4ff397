"""Encrypted scoring: one institution's features, another's linear model, and neither sees the other's."""
