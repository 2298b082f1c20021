"""Is the run over before the learning is? The last epochs against the whole fall of the loss."""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")

text = (RESULTS / "loss_curve.tsv").read_text(encoding="utf-8")
rows = [row.split("\t") for row in text.splitlines()]
losses = [float(row[1]) for row in rows if row[0].isdigit()]
final_slope = [float(row[1]) for row in rows if row[0] == "final_slope"][0]
state = "still falls" if final_slope < -0.01 * losses[0] else "is nearly flat"

print(f"the training loss {state} at the cut: {final_slope:+.4f} per epoch from {losses[-1]:.4f}")
print("epoch", "train_loss", "change", sep="\t")
for epoch, (before, loss) in enumerate(zip(losses[:1] + losses, losses), 1):
    print(epoch, f"{loss:.4f}", f"{loss - before:+.4f}", sep="\t")
