"""Which classes are confused: the worst pair, then the table of labels by predictions."""

import os
from collections import Counter
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")

rows = (RESULTS / "predictions.tsv").read_text(encoding="utf-8").splitlines()[1:]
pairs = Counter(tuple(int(cell) for cell in row.split("\t")[1:3]) for row in rows)
errors = {pair: count for pair, count in pairs.items() if pair[0] != pair[1]}
wrong = len([row for row in rows if row.split("\t")[1] != row.split("\t")[2]])

if errors:
    (label, taken_for), count = max(errors.items(), key=lambda item: (item[1], item[0]))
    print(f"{label} is most often taken for {taken_for} ({count} of {wrong} errors)")
else:
    print(f"no errors in {len(rows)} images")

print("label", *range(10), sep="\t")
for label in range(10):
    print(label, *[pairs[label, predicted] for predicted in range(10)], sep="\t")
