"""Models: whole networks, and the Layer they are built from."""

from dezero.models.bert import (
    BERT,
    mean_pooling,
)
from dezero.models.dcgan import (
    DCGAN,
    Discriminator,
    Generator,
)
from dezero.models.gpt import (
    GPT,
)
from dezero.models.model import (
    MLP,
    Model,
    Sequential,
)
from dezero.models.resnet import (
    ResNet,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
)
from dezero.models.squeezenet import (
    SqueezeNet,
)
from dezero.models.unet import (
    UNet,
)
from dezero.models.vae import (
    VAE,
)
from dezero.models.vgg import (
    VGG,
    VGG16,
)
from dezero.models.vit import (
    ViT,
)

__all__ = [
    "BERT",
    "DCGAN",
    "GPT",
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
    "ViT",
    "mean_pooling",
]
