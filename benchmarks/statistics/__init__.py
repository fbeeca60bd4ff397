"""``make bench-statistics``: joint statistics against each bank's own query, and one on the pooled table."""
