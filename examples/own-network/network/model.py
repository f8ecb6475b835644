"""The network: two convolutions with group norms, for grey images of 28×28 pixels and four classes."""

from torch import nn


class Network(nn.Sequential):
    def __init__(self, width=8, classes=4):
        super().__init__(
            nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(2, width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(2, 2 * width),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * 7 * 7, classes),
        )
