"""What a run leaves behind for the analysis: one table per file, one fact per line.

loss_curve.tsv   loss and accuracy of every epoch, then how they end
grad_norms.tsv   the gradient of every layer in every epoch, then each layer's share
activations.tsv  mean, spread and dead share of the inputs, the hidden units and the logits
weights.tsv      the size of every layer's weights before and after, and how far they moved
predictions.tsv  every validation image: its label, its class, the confidence, the runner-up
"""

import math
from operator import mul

from model import softmax

FINAL_EPOCHS = 3  # what "the end of the run" means in loss_curve.tsv
WOBBLE_EPOCHS = 5


def mean(numbers):
    return math.fsum(numbers) / len(numbers)


def deviation(numbers):
    middle = mean(numbers)
    return math.sqrt(mean([(number - middle) ** 2 for number in numbers]))


def norm(rows):
    return math.sqrt(math.fsum(math.fsum(map(mul, row, row)) for row in rows))


def table(*rows):
    return "".join("\t".join(row) + "\n" for row in rows)


class Record:
    """Collects while the network trains, writes when it is done."""

    def __init__(self, network):
        self.network = network
        self.epochs = []
        self.norms = {}  # by epoch and layer: a norm per step
        layers = network.layers
        self.initial = {layer.name: [list(row) for row in layer.weights] for layer in layers}
        self.parameters = len([p for layer in layers for row, _ in layer.rows() for p in row])

    def gradients(self, epoch, images):
        """Note the norm of every layer's gradient, as a mean over the images of this step."""
        for layer in self.network.layers:
            size = norm(layer.weight_gradient) / images
            self.norms.setdefault((epoch, layer.name), []).append(size)

    def epoch(self, epoch, train_loss, val_loss, val_acc):
        self.epochs.append((epoch, train_loss, val_loss, val_acc))

    def write(self, directory, validation):
        """Write the five files. `validation` holds (features, label)."""
        directory.mkdir(parents=True, exist_ok=True)
        passes = [self.network.forward(values) for values, _ in validation]
        files = {
            "loss_curve.tsv": self.loss_curve(),
            "grad_norms.tsv": self.grad_norms(),
            "activations.tsv": activations(validation, passes),
            "weights.tsv": self.weights(),
            "predictions.tsv": predictions(validation, passes),
        }
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")

    def loss_curve(self):
        """The epochs; the mean change of the training loss over the last ones; the gap that
        validation adds to it; the spread of the accuracy over the last ones."""
        epochs = [(str(e), f"{t:.6f}", f"{v:.6f}", f"{a:.6f}") for e, t, v, a in self.epochs]
        final, before = self.epochs[-1], self.epochs[-1 - min(FINAL_EPOCHS, len(self.epochs) - 1)]
        slope = (final[1] - before[1]) / max(1, final[0] - before[0])
        wobble = deviation([accuracy for _, _, _, accuracy in self.epochs[-WOBBLE_EPOCHS:]])
        return table(
            ("epoch", "train_loss", "val_loss", "val_acc"),
            *epochs,
            ("final_slope", f"{slope:.6f}"),
            ("final_gap", f"{final[2] - final[1]:.6f}"),
            ("final_wobble", f"{wobble:.6f}"),
        )

    def grad_norms(self):
        rows = [(str(e), name, f"{mean(sizes):.6f}") for (e, name), sizes in self.norms.items()]
        totals = {}
        for (_, name), sizes in self.norms.items():
            totals[name] = totals.get(name, 0.0) + mean(sizes)
        whole = math.fsum(totals.values()) or 1.0
        shares = [("share", name, f"{total / whole:.4f}") for name, total in totals.items()]
        return table(("epoch", "layer", "norm"), *rows, *shares)

    def weights(self):
        rows = []
        for layer in self.network.layers:
            before, after = self.initial[layer.name], layer.weights
            moved = [[a - b for a, b in zip(new, old)] for new, old in zip(after, before)]
            count = math.sqrt(len(before) * len(before[0]))
            sizes = (norm(before) / count, norm(after) / count, norm(moved) / norm(before))
            rows.append((layer.name, *[f"{size:.4f}" for size in sizes]))
        return table(("layer", "rms_before", "rms_after", "moved"), *rows)


def activations(validation, passes):
    """A unit is dead when it is zero for every validation image."""
    stages = {
        "input": [values for values, _ in validation],
        "hidden": [hidden for hidden, _ in passes],
        "output": [logits for _, logits in passes],
    }
    rows = []
    for name, images in stages.items():
        numbers = [number for image in images for number in image]
        dead = len([unit for unit in zip(*images) if not any(unit)]) / len(images[0])
        rows.append((name, f"{mean(numbers):.4f}", f"{deviation(numbers):.4f}", f"{dead:.4f}"))
    return table(("layer", "mean", "std", "dead"), *rows)


def predictions(validation, passes):
    rows = []
    for number, ((_, label), (_, logits)) in enumerate(zip(validation, passes)):
        chances = softmax(logits)
        first, second = sorted(range(len(chances)), key=lambda c: -logits[c])[:2]
        cells = (number, label, first, f"{chances[first]:.4f}", second, f"{chances[label]:.4f}")
        rows.append([str(cell) for cell in cells])
    header = ("image", "label", "predicted", "confidence", "runner_up", "label_confidence")
    return table(header, *rows)
