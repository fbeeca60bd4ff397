"""How the node reads its own tables: the customers' data and the consent records of the institution's systems.

Rows without consent are dropped inside the engine that reads the file; what leaves it is one cohort file with
the columns that the job may read. Errors name columns and counts, never a value and never a customer.
"""
