"""Draws the distribution of the weights of every convolution, and writes the numbers that it shows."""

import argparse
import csv

import matplotlib.pyplot as plt
import numpy as np
from safetensors.numpy import load_file

QUARTILES = ["low", "median", "high"]

# Element IDs in SVG files are hashes. Without this salt they are random.
plt.rcParams["svg.hashsalt"] = "weights"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("weights")
parser.add_argument("drawings", nargs=3, help="files for the SVG, PDF and PNG")
parser.add_argument("numbers")
arguments = parser.parse_args()

weights = {name: np.abs(tensor).ravel() for name, tensor in load_file(arguments.weights).items() if tensor.ndim == 4}
quartiles = np.array([np.quantile(values, [0.25, 0.5, 0.75]) for values in weights.values()])
layers = range(1, len(weights) + 1)

with open(arguments.numbers, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["layer", "name", *QUARTILES])
    writer.writerows([layer, name, *row.tolist()] for layer, name, row in zip(layers, weights, quartiles))

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.violinplot(list(weights.values()), layers, widths=0.9, showextrema=False)
axes.plot(layers, quartiles[:, 1], "o", color="black", markersize=3, label="median")
axes.set_xticks(layers, [name.removesuffix(".weight") for name in weights], rotation=60, ha="right", fontsize=7)
axes.set_ylabel("|w|")
axes.legend()
for path in arguments.drawings:
    figure.savefig(path)
