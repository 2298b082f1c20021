"""A classifier with one hidden layer, in plain Python: what it sees, its layers, its gradients.

Sums run in a fixed order or through math.fsum, never through sum(), whose rounding changed in
Python 3.12: the same seed gives the same bits from Python 3.9 on.
"""

import math
from operator import mul

PIXELS = 64
CLASSES = 10


def features(image):
    """What the network sees of an image."""
    return [1.0 if level > 8 else 0.0 for level in image]


class Layer:
    """Weights (inputs x outputs), a bias per output, and the gradient of both."""

    def __init__(self, name, inputs, outputs, generator):
        self.name = name
        self.inputs = inputs

        limit = 1.0
        self.weights = [
            [limit * (2.0 * generator.random() - 1.0) for _ in range(outputs)]
            for _ in range(inputs)
        ]
        self.bias = [0.0] * outputs
        self.clear()

    def clear(self):
        """Forget the gradient."""
        self.weight_gradient = [[0.0] * len(self.bias) for _ in range(self.inputs)]
        self.bias_gradient = [0.0] * len(self.bias)

    def forward(self, values):
        """The layer's outputs, before any activation."""
        if len(values) != self.inputs:
            raise ValueError(
                f"shape mismatch: layer {self.name} takes {self.inputs} values, got {len(values)}"
            )
        outputs = self.bias
        for value, row in zip(values, self.weights):
            if value:
                outputs = [output + value * weight for output, weight in zip(outputs, row)]
        return outputs

    def backward(self, values, slopes):
        """Add to the gradient what one image gives: its inputs and the slopes of its outputs."""
        gradient = self.weight_gradient
        for index, value in enumerate(values):
            if value:
                gradient[index] = [
                    total + value * slope for total, slope in zip(gradient[index], slopes)
                ]
        self.bias_gradient = [total + slope for total, slope in zip(self.bias_gradient, slopes)]

    def input_slopes(self, slopes):
        """The slopes of the layer's inputs, given those of its outputs."""
        return [math.fsum(map(mul, row, slopes)) for row in self.weights]

    def rows(self):
        """Every row of parameters with its gradient: the weights, then the bias."""
        yield from zip(self.weights, self.weight_gradient)
        yield self.bias, self.bias_gradient


def relu(values):
    return [value if value > 0.0 else 0.0 for value in values]


def sigmoid(values):
    squashed = []
    for value in values:
        if value >= 0.0:
            squashed.append(1.0 / (1.0 + math.exp(-value)))
        else:
            power = math.exp(value)
            squashed.append(power / (1.0 + power))
    return squashed


def sigmoid_slopes(activations, slopes):
    return [slope * a * (1.0 - a) for slope, a in zip(slopes, activations)]


def softmax(logits):
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def cross_entropy(probabilities, label):
    """The loss of one image. The floor keeps it finite when a probability underflows."""
    return -math.log(max(probabilities[label], 1e-12))


class Network:
    """Features, one hidden layer of rectified units, ten classes."""

    def __init__(self, hidden, generator):
        self.hidden = Layer("hidden", PIXELS, hidden, generator)
        self.output = Layer("output", hidden, CLASSES, generator)
        self.layers = [self.hidden, self.output]

    def forward(self, values):
        """Hidden activations and logits."""
        activations = relu(self.hidden.forward(values))
        return activations, self.output.forward(activations)

    def learn(self, batch):
        """Add the gradients of a batch, held in memory as a whole; give back its losses."""
        passes = [self.forward(values) for values, _ in batch]
        losses = []
        for (values, label), (activations, logits) in zip(batch, passes):
            probabilities = softmax(logits)
            losses.append(cross_entropy(probabilities, label))

            slopes = list(probabilities)
            slopes[label] -= 1.0

            self.output.backward(activations, slopes)
            hidden_slopes = [
                slope if activation > 0.0 else 0.0
                for slope, activation in zip(self.output.input_slopes(slopes), activations)
            ]
            self.hidden.backward(values, hidden_slopes)
        return losses

    def predict(self, image):
        """The class of an image."""
        _, logits = self.forward(features(image))
        return logits.index(max(logits))
