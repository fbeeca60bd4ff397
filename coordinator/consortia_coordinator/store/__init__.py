"""The coordinator's database: tables, and one module of reads and writes for each part of it."""
