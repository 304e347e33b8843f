"""Models: whole networks, and the Layer they are built from."""

from dezero.models.dcgan import DCGAN, Discriminator, Generator
from dezero.models.model import MLP, Model, Sequential
from dezero.models.resnet import (
    ResNet,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
)
from dezero.models.squeezenet import SqueezeNet
from dezero.models.unet import UNet
from dezero.models.vae import VAE
from dezero.models.vgg import VGG, VGG16

__all__ = [
    "DCGAN",
    "MLP",
    "VAE",
    "VGG",
    "VGG16",
    "Discriminator",
    "Generator",
    "Model",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "Sequential",
    "SqueezeNet",
    "UNet",
]
