"""``python -m benchmarks.sum.node CONFIG``: a node as in service, but that it knows the benchmark's own kinds.

Its workers import this module too, and so learn of them.
"""

from benchmarks.sum import kinds

kinds.add()

if __name__ == "__main__":
    import sys
    from pathlib import Path

    from consortia_node import config, service

    service.run(config.load(Path(sys.argv[1])))
