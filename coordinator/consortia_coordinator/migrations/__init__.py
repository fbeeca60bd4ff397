"""The history of the coordinator's database. A released revision is never edited; a new one follows it."""
