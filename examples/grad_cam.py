"""Grad-CAM: where in an image does the network see the class?

Backward from the score of one class to the output of the last convolution tells how
much each of its channels speaks for the class. The channels, weighted so and added up,
are a map of the image (Selvaraju et al., 2017). The digits' network is trained first;
the picture shows what speaks for the class that wins and for the next one.

Needs matplotlib. Takes about 20 seconds. With ``--weights vgg16.npz --image FILE`` it
explains what VGG16 sees: that needs Pillow, the published weights (490 MB, see
``dezero.models.VGG16.WEIGHTS_PATH``), 2 GB of memory, and about 10 seconds.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from pictures import save

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import DataLoader, Model, test_mode
from dezero.datasets import Digits
from dezero.models import VGG16
from dezero.optimizers import Adam
from dezero.train import fit
from dezero.transforms import Compose, Normalize, ToFloat

parser = argparse.ArgumentParser(description="Grad-CAM")
parser.add_argument("--weights", help="the published weights of VGG16")
parser.add_argument("--image", help="a picture to look at with VGG16")
parser.add_argument("--epochs", type=int, default=10, help="for the digits")
parser.add_argument("--out", default="runs/grad_cam.png", help="the picture")
parser.add_argument("--quick", action="store_true", help="2 epochs on few digits")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
if bool(options.weights) != bool(options.image):
    parser.error("--weights and --image go together")


class DigitNet(Model):
    def __init__(self):
        super().__init__()
        self.convs = [L.Conv2d(n, 3, pad=1, nobias=True) for n in (16, 32, 32)]
        self.norms = [L.BatchNorm() for _ in self.convs]
        self.fc = L.Linear(10)

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))  # (N, channels, 8, 8)
        return self.fc(F.average(x, axis=(2, 3)))


def grad_cam(model, layer, x, rank):
    """For one image (1, C, H, W), the class of that rank and its map, (h, w)."""
    with test_mode():
        y = model(x)
    label = np.argsort(-y.data[0])[rank]
    features = layer.outputs[0]()  # what the layer gave in this call
    y[0, label].backward(retain_grad=True)
    weight = features.grad.data.mean(axis=(2, 3), keepdims=True)  # (1, channels, 1, 1)
    return label, (weight * features.data.clip(0)).sum(axis=1)[0].clip(0)


def draw(panel, image, heat, title):
    """The image in gray, and over it the map, from clear to red."""
    heat = 0.8 * heat / (heat.max() or 1)
    box = panel.imshow(image, "gray_r").get_extent()
    panel.imshow(heat, "autumn_r", alpha=heat, extent=box, interpolation="bicubic")
    panel.set(xticks=[], yticks=[], title=title)


if options.compile:
    grad_cam = dezero.compile(grad_cam)
if options.weights:
    from PIL import Image

    model = VGG16()
    model.load_weights(options.weights)
    photo = Image.open(options.image)
    label, heat = grad_cam(model, model.conv5_3, VGG16.preprocess(photo)[None], rank=0)
    print(f"class {label} of ImageNet")
    figure, panel = plt.subplots(layout="constrained")
    draw(panel, np.asarray(photo.convert("RGB")), heat, f"class {label}")
else:
    np.random.seed(0)
    scale = Compose([ToFloat(), Normalize(0, 16)])
    train, test = Digits(not options.quick, scale), Digits(False, scale)
    model, epochs = DigitNet(), 2 if options.quick else options.epochs
    loaders = DataLoader(train, 32), DataLoader(test, 500, shuffle=False)
    optimizer = Adam(0.005).setup(model)
    fit(model, optimizer, *loaders, epochs=epochs, compile=options.compile)
    figure, panels = plt.subplots(2, 10, figsize=(12, 2.9), layout="constrained")
    for digit in range(10):
        x, _ = test[np.flatnonzero(test.label == digit)[:1]]
        for rank, row in enumerate(panels):
            label, heat = grad_cam(model, model.norms[-1], x, rank)
            draw(row[digit], x[0, 0], heat, f"for {label}")
save(figure, options.out)
