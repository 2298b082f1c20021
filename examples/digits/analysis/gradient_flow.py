"""Does every layer learn? Each layer's share of the gradient, early and late."""

import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")

norms = {}
for row in (RESULTS / "grad_norms.tsv").read_text(encoding="utf-8").splitlines()[1:]:
    epoch, layer, value = row.split("\t")
    if epoch.isdigit():
        norms.setdefault(layer, []).append(float(value))

late = {layer: values[-1] for layer, values in norms.items()}
whole = sum(late.values()) or 1.0
layer = max(late, key=late.get)
print(f"layer {layer} has {late[layer] / whole:.0%} of the gradient in the last epoch")
print("layer", "first_epoch", "last_epoch", "last_share", sep="\t")
for layer, values in norms.items():
    print(layer, f"{values[0]:.4f}", f"{values[-1]:.4f}", f"{late[layer] / whole:.4f}", sep="\t")
