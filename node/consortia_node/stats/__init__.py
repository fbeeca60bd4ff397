"""PURE: the arithmetic of ``statistics``: expressions over rows, integers to words and back, what may be shown.

What is asked of the engine is a set of aggregate expressions over a narwhals frame; what comes back are a few
numbers. Nothing here sees one row.
"""
