"""Flower's own engine, asked for the same rounds."""
