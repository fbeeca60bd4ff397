"""Homomorphic encryption with TenSEAL: named parameter sets, checked bytes, secret side, public side."""
