"""One file a revision; see migrations/__init__.py."""
