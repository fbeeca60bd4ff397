"""``make bench-train``: trees at three banks against pooled code and LightGBM; sealed sums against plain ones.

A job's time is from submission to its end: gate, keys, cohorts, rounds, test, receipts. Everybody shares the
machine: the three banks' workers and the coordinator, or, by itself, LightGBM on all cores. Results go to
benchmarks/results/train.json. The workers that nodes start import this module, and so learn of the plain kind.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # LightGBM's threads don't spin where others work

from benchmarks.train import kinds

kinds.add()

if __name__ == "__main__":
    import sys

    from benchmarks.train.measure import main

    main(sys.argv[1:])
