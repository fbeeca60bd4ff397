"""PURE: what a ``statistics`` job adds up, as a function of its spec: its tables' shape, its noise's cost.

No numbers of anybody's are here. Coordinator and client need it too, so nothing in it depends on numpy.
"""
