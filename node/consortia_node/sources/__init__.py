"""How the node reads its own tables: the customers' data and the consent records of the institution's systems.

Rows without consent are dropped inside the engine that reads the table; what leaves it is what a job makes of the
others' columns that it may read. Errors name columns and counts, never a value and never a customer.
"""
