"""Runnable scenarios on real data; each is tested by running it."""
