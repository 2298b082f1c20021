"""How large and how alive are the hidden units and the logits?"""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")

text = (RESULTS / "activations.tsv").read_text(encoding="utf-8")
layers = {row.split("\t")[0]: row.split("\t")[1:] for row in text.splitlines()[1:]}
_, spread, dead = layers["hidden"]
print(f"hidden units spread by {spread} and {float(dead):.0%} of them are dead")
print(text, end="")
