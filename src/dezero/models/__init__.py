"""Models: whole networks, and the Layer they are built from."""

from dezero.models.bert import BERT, mean_pooling
from dezero.models.gpt import GPT
from dezero.models.model import MLP, Model, Sequential
from dezero.models.resnet import ResNet, ResNet50, ResNet101, ResNet152
from dezero.models.squeezenet import SqueezeNet
from dezero.models.vgg import VGG16
from dezero.models.vit import ViT

__all__ = [
    "BERT",
    "GPT",
    "MLP",
    "VGG16",
    "Model",
    "ResNet",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "Sequential",
    "SqueezeNet",
    "ViT",
    "mean_pooling",
]
