"""One experiment: fit a polynomial to forty noisy points by gradient descent, leave evidence, print the metric."""

import os
from pathlib import Path

import data

HERE = Path(__file__).resolve().parent


def read_settings(path):
    """The settings, by key: whole numbers where they are written so."""
    settings = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            settings[key.strip()] = float(value) if "." in value else int(value)
    return settings


def powers(x, degree):
    return [x**power for power in range(degree + 1)]


def loss_of(weights, points):
    errors = [sum(w * f for w, f in zip(weights, features)) - y for features, y in points]
    return sum(error * error for error in errors) / len(errors), errors


def main():
    settings = read_settings(HERE / "settings.yaml")
    training, validation = [
        [(powers(x, settings["degree"]), y) for x, y in part] for part in data.load()
    ]
    weights = [0.0] * (settings["degree"] + 1)
    losses = []
    for _ in range(settings["steps"]):
        loss, errors = loss_of(weights, training)
        losses.append(loss)
        slopes = [
            2 * sum(error * features[power] for error, (features, _) in zip(errors, training)) / len(training)
            + 2 * settings["penalty"] * weight
            for power, weight in enumerate(weights)
        ]
        weights = [weight - settings["rate"] * slope for weight, slope in zip(weights, slopes)]

    train_loss, val_loss = loss_of(weights, training)[0], loss_of(weights, validation)[0]
    results = Path(os.environ.get("WINDLASS_RESULTS") or "results")
    results.mkdir(parents=True, exist_ok=True)
    rows = [
        ("train_loss", train_loss),
        ("gap", val_loss - train_loss),
        ("final_slope", (losses[-1] - losses[-11]) / 10),
    ]
    table = "".join(f"{name}\t{value:.8f}\n" for name, value in rows)
    (results / "fit.tsv").write_text(table, encoding="utf-8")
    print(f"val_loss: {val_loss:.6f}")


if __name__ == "__main__":
    main()
