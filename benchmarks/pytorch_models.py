"""The larger networks as one writes them in PyTorch."""

from typing import Any

import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Attention to the tokens before, then an MLP; each adds to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def attention(self, x: Any) -> Any:
        N, T, C = x.shape
        qkv = self.qkv(x).view(N, T, 3, self.heads, C // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (N, heads, T, C / heads) each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.project(y.transpose(1, 2).reshape(N, T, C))

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm1(x))
        h = F.gelu(self.widen(self.norm2(x)), approximate="tanh")
        return x + self.narrow(h)


class GPT(nn.Module):
    """Scores (N * T, vocabulary) of what comes after each token of ids (N, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(65, 128)
        self.places = nn.Embedding(64, 128)
        self.blocks = nn.Sequential(*(Block(128, heads=4) for _ in range(4)))
        self.norm = nn.LayerNorm(128)
        self.head = nn.Linear(128, 65, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.blocks(self.tokens(ids) + self.places.weight)
        return self.head(self.norm(x)).flatten(0, 1)


def conv_norm(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out, eps=2e-5))  # DeZero's eps


class Residual(nn.Module):
    """Two convolutions that add to their input; the first may halve the image."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        stride = 1 if n_in == n_out else 2
        self.first = conv_norm(n_in, n_out, stride=stride)
        self.second = conv_norm(n_out, n_out)
        self.shortcut = (
            nn.Identity() if n_in == n_out else conv_norm(n_in, n_out, 1, stride)
        )

    def forward(self, x: Any) -> Any:
        h = self.second(F.relu(self.first(x)))
        return F.relu(h + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of two blocks on images of 32×32."""

    def __init__(self) -> None:
        super().__init__()
        pairs = ((16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64))
        self.stem = conv_norm(3, 16)
        self.blocks = nn.Sequential(*(Residual(*pair) for pair in pairs))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        x = self.blocks(F.relu(self.stem(x)))
        return self.fc(x.mean(dim=(2, 3)))
