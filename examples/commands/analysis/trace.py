"""Computes Tr(∇²L), the sum of the second derivatives of the loss by each parameter, by automatic differentiation.

wdpipe's own `hessian_trace` never forms a second derivative: it uses that Tr H = Tr G (docs/trace.md). This program does not.
"""

import argparse
import csv

import torch
from torch.func import jvp, vmap

from network import loss, read_images, read_weights


def trace(parameters, statistics, images, labels):
    """Returns the exact trace, one parameter tensor at a time."""
    total = 0.0
    for name, tensor in parameters.items():

        def f(tensor):
            return loss({**parameters, name: tensor}, statistics, images, labels)

        def second_derivative(direction):
            def first_derivative(tensor):
                return jvp(f, (tensor,), (direction,))[1]

            return jvp(first_derivative, (tensor,), (direction,))[1]

        for directions in torch.eye(tensor.numel(), dtype=tensor.dtype).split(32):
            total += vmap(second_derivative)(directions.view(-1, *tensor.shape)).sum().item()
    return total


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("weights")
parser.add_argument("images")
parser.add_argument("table")
parser.add_argument("--after", type=int, required=True, help="number of epochs before the checkpoint")
parser.add_argument("--count", type=int, required=True, help="number of images")
arguments = parser.parse_args()

parameters, statistics = read_weights(arguments.weights)
images, labels = read_images(arguments.images, arguments.count)
with torch.no_grad(), open(arguments.table, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["epoch", "trace"])
    # wdpipe's tables count epochs from 0.
    writer.writerow([arguments.after - 1, trace(parameters, statistics, images, labels)])
