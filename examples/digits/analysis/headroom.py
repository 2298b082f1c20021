"""Is there room left? Training against validation, and how many errors are near misses."""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")

text = (RESULTS / "loss_curve.tsv").read_text(encoding="utf-8")
rows = [row.split("\t") for row in text.splitlines()]
epochs = [row for row in rows if row[0].isdigit()]
text = (RESULTS / "predictions.tsv").read_text(encoding="utf-8")
images = [row.split("\t") for row in text.splitlines()[1:]]
errors = [row for row in images if row[1] != row[2]]
near = [row for row in errors if row[1] == row[4]]
best = max(epochs, key=lambda row: float(row[3]))

print(f"{len(near)} of {len(errors)} errors have the label as runner-up")
print("fact", "value", sep="\t")
print("train_loss", epochs[-1][1], sep="\t")
print("val_loss", epochs[-1][2], sep="\t")
print("best_epoch", best[0], sep="\t")
print("best_epoch_accuracy", best[3], sep="\t")
print("near_misses", len(near), sep="\t")
