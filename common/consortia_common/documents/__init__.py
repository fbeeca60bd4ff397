"""PURE: the documents that people write, sign and keep: job specs, agreements, models, receipts.

Each is a frozen pydantic model that refuses unknown fields, with one canonical JSON form that is hashed and
signed. No I/O and no clock here.
"""
