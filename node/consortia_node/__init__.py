"""Runs at one institution: holds the data, decides, computes, logs. Dials out; nothing dials in."""
