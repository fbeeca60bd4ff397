"""``make bench-train``: models of three banks against the same code on pooled rows, and against LightGBM."""
