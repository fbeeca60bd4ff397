"""Relays, schedules, keeps the registry and its own log. Sees ciphertext and metadata only."""
