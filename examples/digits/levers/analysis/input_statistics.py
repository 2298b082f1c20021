"""What reaches the network: mean, spread and dead share of its inputs, here and in the baseline."""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")
HISTORY = Path(os.environ.get("WINDLASS_HISTORY") or "history")


def inputs(directory):
    rows = (directory / "activations.tsv").read_text(encoding="utf-8").splitlines()
    return [row.split("\t")[1:] for row in rows if row.startswith("input\t")][0]


before, now = inputs(HISTORY / "iter1" / "results"), inputs(RESULTS)
print(f"{float(now[2]):.1%} of the pixels are dead against {float(before[2]):.1%} in the baseline")
print("iteration", "mean", "std", "dead", sep="\t")
print("baseline", *before, sep="\t")
print("this", *now, sep="\t")
