"""Which errors of the baseline are gone, and which are new? By pair of label and prediction."""

import os
from collections import Counter
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")
HISTORY = Path(os.environ.get("WINDLASS_HISTORY") or "history")


def errors(directory):
    rows = (directory / "predictions.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [row.split("\t") for row in rows]
    return {image: (label, guess) for image, label, guess, *_ in cells if label != guess}


before, now = errors(HISTORY / "iter1" / "results"), errors(RESULTS)
new = len([image for image in now if image not in before])
gone = len([image for image in before if image not in now])
print(f"{gone} of {len(before)} errors of the baseline are gone and {new} are new")

old_pairs, pairs = Counter(before.values()), Counter(now.values())
print("label", "predicted", "baseline", "this", sep="\t")
for pair in sorted(set(pairs) | set(old_pairs), key=lambda pair: (-pairs[pair], pair)):
    print(*pair, old_pairs[pair], pairs[pair], sep="\t")
