"""What do the errors look like? The images whose own class was given the least confidence."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())  # the workspace: a script's own folder is searched, not this one
import evaluate  # noqa: E402

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")
SHOWN = 3
INKS = " .:-=+*#%@@@@@@@@"  # one character per grey level, 0 to 16

_, validation = evaluate.load()
text = (RESULTS / "predictions.tsv").read_text(encoding="utf-8")
rows = [row.split("\t") for row in text.splitlines()[1:]]
rows.sort(key=lambda row: (float(row[5]), int(row[0])))

number, label, predicted = rows[0][:3]
print(f"the hardest image is number {number}: a {label} taken for {predicted}")
for number, label, predicted, confidence, _, label_confidence in rows[:SHOWN]:
    print(f"\nimage {number}\tlabel {label} ({label_confidence})", end="\t")
    print(f"predicted {predicted} ({confidence})")
    image, _ = validation[int(number)]
    for start in range(0, len(image), 8):
        print("".join(INKS[level] * 2 for level in image[start : start + 8]))
