"""Trains the network by SGD with weight decay, from new weights or from those of another stage.

Writes the weights, and a table with a row for every epoch.
"""

import argparse
import csv

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from model import Network

BATCH = 32


def read(path):
    """Returns images (float, about −1 to 1) and labels."""
    file = load_file(path)
    return (file["images"].float() - 128) / 128, file["labels"].long()


@torch.no_grad()
def measure(network, images, labels):
    """Returns the mean loss, and the error in percent."""
    logits = network.eval()(images)
    wrong = (logits.argmax(1) != labels).double().mean()
    return nn.functional.cross_entropy(logits, labels).item(), 100 * wrong.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("weights")
    parser.add_argument("metrics")
    parser.add_argument("--start")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--wd", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--first", type=int)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    # A stage that goes on must not repeat the random numbers of the stage before it.
    torch.manual_seed(1000 * options.seed + options.first)
    network = Network()
    if options.start:
        network.load_state_dict(load_file(options.start))
    (images, labels), test = read(options.train), read(options.test)
    optimizer = torch.optim.SGD(network.parameters(), lr=options.lr, weight_decay=options.wd)
    rows = []
    for epoch in range(options.first, options.first + options.epochs):
        network.train()
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        train_loss, _ = measure(network, images, labels)
        _, test_error = measure(network, *test)
        rows.append([epoch, train_loss, test_error])
        print(f"epoch {epoch}: loss {train_loss:.4f}, test error {test_error:.1f} %")
    save_file(network.state_dict(), options.weights)
    with open(options.metrics, "w", newline="") as file:
        csv.writer(file).writerows([["epoch", "train_loss", "test_error"], *rows])


main()
