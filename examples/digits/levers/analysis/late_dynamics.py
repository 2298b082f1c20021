"""Does the accuracy settle? Its last five epochs."""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")
LAST = 5

text = (RESULTS / "loss_curve.tsv").read_text(encoding="utf-8")
rows = [row.split("\t") for row in text.splitlines()]
epochs = [row for row in rows if row[0].isdigit()][-LAST:]
accuracies = [float(row[3]) for row in epochs]
low, high = min(accuracies), max(accuracies)
print(f"accuracy moves between {low:.4f} and {high:.4f} in the last {len(epochs)} epochs")
print("epoch", "val_loss", "val_acc", sep="\t")
for row in epochs:
    print(row[0], row[2], row[3], sep="\t")
