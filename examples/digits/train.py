"""One experiment: train the network, leave evidence behind, print the metric.

The evidence goes to WINDLASS_RESULTS. The metric line is printed by evaluate.py alone.
"""

import math
import os
import random
import time
from pathlib import Path

import evaluate
import evidence
from model import CLASSES, PIXELS, Network, cross_entropy, features, softmax

HERE = Path(__file__).resolve().parent
BYTES_PER_NUMBER = 32  # a float of CPython (24) and its place in a list (8)


def read_config(path):
    """The settings, by key: whole numbers where they are written so."""
    settings = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            settings[key.strip()] = float(value) if "." in value else int(value)
    return settings


def check_memory(config):
    """Refuse a batch whose inputs, activations and slopes take more than the limit."""
    numbers_per_image = PIXELS + 2 * (config["hidden"] + CLASSES)
    needed_kib = config["batch"] * numbers_per_image * BYTES_PER_NUMBER / 1024
    limit_kib = config["memory_limit_kib"]
    if needed_kib > limit_kib:
        raise MemoryError(
            f"out of memory: a batch of {config['batch']} needs {needed_kib:.0f} KiB, "
            f"the limit is {limit_kib} KiB"
        )


class Descent:
    """Plain gradient descent."""

    def __init__(self, layers):
        self.layers = layers

    def step(self, rate):
        """Move every parameter against its gradient, then forget the gradient."""
        for layer in self.layers:
            for parameters, gradient in layer.rows():
                parameters[:] = [p - rate * g for p, g in zip(parameters, gradient)]
            layer.clear()


def shuffle(items, generator):
    """Fisher and Yates, by hand: the same order on every Python."""
    for last in range(len(items) - 1, 0, -1):
        other = int(generator.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


def pieces(items, size):
    """The items in order, `size` at a time; the last piece may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def measure(network, samples):
    """Mean loss and accuracy."""
    loss, right = 0.0, 0
    for values, label in samples:
        _, logits = network.forward(values)
        loss += cross_entropy(softmax(logits), label)
        right += logits.index(max(logits)) == label
    return loss / len(samples), right / len(samples)


def main():
    config = read_config(HERE / "config.yaml")
    check_memory(config)

    seed = config["seed"] + int(os.environ.get("WINDLASS_SEED") or 0)
    generator = random.Random(seed)
    training, validation = [
        [(features(image), label) for image, label in part] for part in evaluate.load()
    ]
    print(f"{len(training)} training images, {len(validation)} validation images, seed {seed}")

    network = Network(config["hidden"], generator)
    optimiser = Descent(network.layers)
    record = evidence.Record(network)
    print(f"{record.parameters} parameters", flush=True)

    for epoch in range(1, config["epochs"] + 1):
        started = time.monotonic()
        shuffle(training, generator)

        rate = config["learning_rate"]

        losses = []
        for images in pieces(training, config["batch"] * config["accumulate"]):
            for batch in pieces(images, config["batch"]):
                losses += network.learn(batch)
            record.gradients(epoch, len(images))
            optimiser.step(rate / len(images))

        loss = math.fsum(losses) / len(losses)
        val_loss, val_acc = measure(network, validation)
        record.epoch(epoch, loss, val_loss, val_acc)
        print(
            f"epoch {epoch:2d}  loss {loss:.4f}  val_loss {val_loss:.4f}"
            f"  accuracy {val_acc:.4f}  {time.monotonic() - started:.2f} s",
            flush=True,
        )

    record.write(Path(os.environ.get("WINDLASS_RESULTS") or "results"), validation)
    evaluate.report(network.predict)


if __name__ == "__main__":
    main()
