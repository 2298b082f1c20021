"""How many predictions changed since each earlier iteration that left predictions behind?"""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")
HISTORY = Path(os.environ.get("WINDLASS_HISTORY") or "history")
THIS = os.environ.get("WINDLASS_ITERATION")


def predictions(path):
    return [row.split("\t")[2] for row in path.read_text(encoding="utf-8").splitlines()[1:]]


now = predictions(RESULTS / "predictions.tsv")
changes = {}
for path in HISTORY.glob("iter*/results/predictions.tsv"):
    iteration = path.parts[-3][len("iter") :]
    if iteration != THIS:
        changes[int(iteration)] = len([1 for old, new in zip(predictions(path), now) if old != new])

nearest = min(changes, key=lambda iteration: (changes[iteration], -iteration))
print(f"{changes[nearest]} of {len(now)} predictions differ from iteration {nearest}")
print("iteration", "changed", sep="\t")
for iteration in sorted(changes):
    print(iteration, changes[iteration], sep="\t")
