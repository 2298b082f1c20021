"""Is the confidence earned? Accuracy against confidence, in five bins of confidence."""

import math
import os
from pathlib import Path

RESULTS = Path(os.environ.get("WINDLASS_RESULTS") or "results")
EDGES = [0.0, 0.5, 0.7, 0.9, 0.99, 1.01]

bins = [[] for _ in EDGES[1:]]
for row in (RESULTS / "predictions.tsv").read_text(encoding="utf-8").splitlines()[1:]:
    _, label, predicted, confidence, _, _ = row.split("\t")
    place = len([edge for edge in EDGES[1:] if edge <= float(confidence)])
    bins[place].append((float(confidence), label == predicted))

images = len([1 for members in bins for _ in members])
error, lines = 0.0, []
for low, high, members in zip(EDGES, EDGES[1:], bins):
    if members:
        confidence = math.fsum(c for c, _ in members) / len(members)
        accuracy = sum(right for _, right in members) / len(members)
        error += abs(confidence - accuracy) * len(members) / images
        lines.append((f"{low:.2f}", len(members), f"{confidence:.4f}", f"{accuracy:.4f}"))

print(f"expected calibration error {error:.4f} over {images} images")
print("confidence_from", "images", "mean_confidence", "accuracy", sep="\t")
for line in lines:
    print(*line, sep="\t")
