"""Rounds over the exchange in a fresh process: ``python -m benchmarks.sum.exchange INSTITUTIONS LENGTH ROUNDS``.

Prints a JSON object.
"""

from benchmarks.sum import kinds

kinds.add()

if __name__ == "__main__":
    import json
    import sys
    from dataclasses import asdict

    from benchmarks.sum.rounds import over_the_exchange

    asked = [int(argument) for argument in sys.argv[1:]]
    found = over_the_exchange((kinds.PLAIN, kinds.SEALED), *asked)
    print(json.dumps({kind: asdict(figures) for kind, figures in found.items()}))
