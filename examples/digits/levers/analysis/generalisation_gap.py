"""Does the model fit the training images better than the others? The gap in loss by epoch."""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")

text = (RESULTS / "loss_curve.tsv").read_text(encoding="utf-8")
rows = [row.split("\t") for row in text.splitlines()]
gaps = [(row[0], float(row[2]) - float(row[1])) for row in rows if row[0].isdigit()]
first, last = gaps[0][1], gaps[-1][1]
print(f"validation loss is {last:+.4f} from training loss at the end and {first:+.4f} at the start")
print("epoch", "gap", sep="\t")
for epoch, gap in gaps:
    print(epoch, f"{gap:.4f}", sep="\t")
