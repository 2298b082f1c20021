"""How soon is the run where the baseline ended? Its first epoch at the baseline's last loss."""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")
HISTORY = Path(os.environ.get("WINDLASS_HISTORY") or "history")


def losses(directory):
    rows = (directory / "loss_curve.tsv").read_text(encoding="utf-8").splitlines()
    return [float(row.split("\t")[1]) for row in rows if row.split("\t")[0].isdigit()]


before, now = losses(HISTORY / "iter1" / "results"), losses(RESULTS)
reached = [epoch for epoch, loss in enumerate(now, 1) if loss <= before[-1]]
if reached:
    print(f"the baseline's last loss of {before[-1]:.4f} is reached in epoch {reached[0]}")
else:
    print(f"the baseline's last loss of {before[-1]:.4f} is never reached")
print("epoch", "baseline", "this", sep="\t")
for epoch, (old, new) in enumerate(zip(before, now), 1):
    print(epoch, f"{old:.4f}", f"{new:.4f}", sep="\t")
