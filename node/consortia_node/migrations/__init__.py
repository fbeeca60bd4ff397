"""The history of the node's database. A released revision is never edited; a new one follows it."""
