"""How far did training carry the weights from where they began?"""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")

text = (RESULTS / "weights.tsv").read_text(encoding="utf-8")
layers = [row.split("\t") for row in text.splitlines()[1:]]
name, before, after, moved = min(layers, key=lambda layer: float(layer[3]))
print(f"layer {name} moved least: {float(moved):.0%} of its initial norm")
print(text, end="")
