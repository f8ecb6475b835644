"""Computes max L(w + ε) − L(w) over all ε with ‖ε‖ ≤ ρ, by projected gradient ascent."""

import argparse
import csv

import torch

from network import loss, read_images, read_weights


def norm(tensors):
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()


def sharpness(parameters, statistics, images, labels, rho, steps):
    """Returns the loss at the parameters, and by how much it rises within the ball."""

    def loss_at(shift):
        return loss({name: parameters[name] + shift[name] for name in parameters}, statistics, images, labels)

    shift = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
    losses = []
    for _ in range(steps + 1):
        leaves = {name: tensor.requires_grad_() for name, tensor in shift.items()}
        value = loss_at(leaves)
        losses.append(value.item())
        gradients = dict(zip(leaves, torch.autograd.grad(value, leaves.values())))
        # The first step has the whole length ρ, as in SAM.
        ascent = {name: shift[name].detach() + gradients[name] * (rho / norm(gradients.values())) for name in shift}
        scale = min(1.0, rho / norm(ascent.values()).item())
        shift = {name: tensor * scale for name, tensor in ascent.items()}
    return losses[0], max(losses) - losses[0]


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("weights")
parser.add_argument("images")
parser.add_argument("table")
parser.add_argument("--after", type=int, required=True, help="number of epochs before the checkpoint")
parser.add_argument("--rho", type=float, required=True, help="radius of the ball")
parser.add_argument("--count", type=int, default=100, help="number of images")
parser.add_argument("--steps", type=int, default=5, help="number of steps of the ascent")
arguments = parser.parse_args()

network = *read_weights(arguments.weights), *read_images(arguments.images, arguments.count)
with open(arguments.table, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["epoch", "loss", "sharpness"])
    # wdpipe's tables count epochs from 0.
    writer.writerow([arguments.after - 1, *sharpness(*network, arguments.rho, arguments.steps)])
