"""wdpipe's pre-activation ResNet-18 in PyTorch, for checkpoints and images as commands get them."""

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

# Mean and standard deviation of each channel, by which wdpipe normalises images.
MEAN = torch.tensor([125.307, 122.961, 113.8575], dtype=torch.float64).view(3, 1, 1)
STD = torch.tensor([51.5865, 50.847, 51.255], dtype=torch.float64).view(3, 1, 1)


def read_weights(path):
    """Returns the parameters, and the running statistics of the batch norms, both by name and in float64."""
    tensors = {name: tensor.double() for name, tensor in load_file(path).items()}
    statistics = {name: tensors.pop(name) for name in list(tensors) if "running_" in name}
    return tensors, statistics


def read_images(path, count):
    """Returns the first `count` / classes images of every class, normalised, and their labels."""
    file = load_file(path)
    labels = file["labels"].long()
    classes = int(labels.max()) + 1
    chosen = torch.cat([(labels == label).nonzero()[: count // classes, 0] for label in range(classes)])
    return (file["images"][chosen].double() - MEAN) / STD, labels[chosen]


def logits(parameters, statistics, x):
    """Returns the logits `[b, classes]` of images `x`, with running statistics."""

    def norm(x, name):
        mean, variance = statistics[f"{name}.running_mean"], statistics[f"{name}.running_var"]
        scale = parameters[f"{name}.weight"] / (variance + 1e-5).sqrt()
        shift = parameters[f"{name}.bias"] - mean * scale
        return x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)

    def conv(x, name, stride=1):
        weight = parameters[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    x = conv(norm(x, "input_norm"), "stem")
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"stage{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            active = norm(x, f"{name}.norm1").relu()
            h = norm(conv(active, f"{name}.conv1", stride), f"{name}.norm2").relu()
            h = conv(h, f"{name}.conv2")
            # Where the shape changes, the skip is a convolution of the block's first activation.
            x = h + (conv(active, f"{name}.skip_conv", stride) if stride == 2 else x)
    features = norm(x, "final_norm").relu().mean((2, 3))
    return F.linear(features, parameters["head.weight"], parameters["head.bias"])


def loss(parameters, statistics, images, labels):
    """Returns the mean cross-entropy."""
    return F.cross_entropy(logits(parameters, statistics, images), labels)
