"""Draws grey images of 28×28 pixels with one of four shapes: a horizontal bar, a vertical bar, a cross or a ring."""

import argparse

import torch
from safetensors.torch import save_file

CLASSES = 4


def draw(count, noise, generator):
    """Returns `count` images (uint8, `[count, 1, 28, 28]`) and their labels (uint8)."""
    labels = torch.arange(count) % CLASSES
    # The centre, half the length and half the thickness of each shape, in pixels.
    x, y = (torch.randint(10, 18, (2, count, 1, 1), generator=generator)).double()
    length = torch.randint(5, 9, (count, 1, 1), generator=generator)
    across, down = torch.arange(28) - x, torch.arange(28).view(28, 1) - y
    bars = [(down.abs() < 2) & (across.abs() <= length), (across.abs() < 2) & (down.abs() <= length)]
    ring = ((across**2 + down**2).sqrt() - length).abs() < 1.5
    shapes = torch.stack([bars[0], bars[1], bars[0] | bars[1], ring])
    chosen = shapes[labels, torch.arange(count)].double()
    grey = 60 + 120 * chosen + noise * torch.randn(chosen.shape, generator=generator, dtype=torch.float64)
    return grey.clamp(0, 255).to(torch.uint8).unsqueeze(1), labels.to(torch.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--counts", type=int, nargs=2)
    parser.add_argument("--noise", type=float)
    options = parser.parse_args()
    for seed, (path, count) in enumerate(zip([options.train, options.test], options.counts)):
        images, labels = draw(count, options.noise, torch.Generator().manual_seed(seed))
        save_file({"images": images, "labels": labels}, path)


main()
