"""The trainings of docs/results.md as one writes them in PyTorch.

    python -m benchmarks.training_peer gpt --text input.txt
    python -m benchmarks.training_peer cnn --data-dir FOLDER [--compile]

Networks, data, batches, optimizers and schedules are those of ``examples/gpt.py``,
``cnn.py``, ``resnet.py`` and ``clothes.py``; first weights are drawn as PyTorch does
but for the GPT.
"""

from __future__ import annotations

import argparse
import gzip
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.pytorch_models import Block, Residual, conv_norm

# -- characters ------------------------------------------------------------------------


class GPT(nn.Module):
    """As ``dezero.models.GPT``: learned places, tied head, GPT-2's initial weights."""

    def __init__(
        self, vocabulary: int, length: int, width: int, heads: int, depth: int
    ):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for last in (block.project, block.narrow):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * depth))

    def forward(self, ids: Any) -> Any:
        x = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        x = self.norm(self.blocks(x))
        return F.linear(x, self.tokens.weight)


class LSTM(nn.Module):
    def __init__(self, vocabulary: int, hidden: int):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, hidden)
        self.lstm = nn.LSTM(hidden, hidden, num_layers=2, batch_first=True)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, ids: Any) -> Any:
        return self.head(self.lstm(self.tokens(ids))[0])


def characters(options: argparse.Namespace) -> None:
    text = options.text.read_text(encoding="utf-8")
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    ids = torch.tensor([number[letter] for letter in text])
    cut = int(0.9 * len(ids))
    train, valid = ids[:cut], ids[cut:]
    length, rows, steps = 128, 16, options.steps
    if options.run == "gpt":
        model: nn.Module = GPT(len(letters), length, width=128, heads=4, depth=4)
    else:
        model = LSTM(len(letters), hidden=256)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": rest, "weight_decay": 0.0},
    ]
    peak = 1e-3 if options.run == "gpt" else 2e-3
    optimizer = torch.optim.AdamW(groups, peak, betas=(0.9, 0.99), fused=True)

    def loss_of(x: Any, t: Any) -> Any:
        return F.cross_entropy(model(x).flatten(0, 1), t.flatten())

    compiled = torch.compile(loss_of) if options.compile else loss_of
    rng = np.random.default_rng(0)
    window = torch.arange(length)
    started = time.perf_counter()
    for step in range(1, steps + 1):
        rate = peak * warm_cosine(step - 1, steps, warmup=100)
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.from_numpy(rng.integers(0, len(train) - length, rows))
        places = starts[:, None] + window
        loss = compiled(train[places], train[places + 1])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % (steps // 8) == 0:
            with torch.no_grad():
                losses = [
                    loss_of(valid[i : i + length][None], valid[i + 1 : i + length + 1])
                    for i in range(0, len(valid) - length, length)
                ]
            print(
                f"step {step}: loss {loss.item():.4f}  validation "
                f"{np.mean([float(one) for one in losses]):.4f}  "
                f"{time.perf_counter() - started:.0f} s",
                flush=True,
            )


def warm_cosine(step: int, steps: int, warmup: int = 0) -> float:
    """The share of the largest rate: a straight line up, then half a cosine down."""
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# -- pictures --------------------------------------------------------------------------


def cnn() -> nn.Module:
    def stage(n_in: int, n_out: int) -> list[nn.Module]:
        conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        return [conv, nn.MaxPool2d(2), nn.BatchNorm2d(n_out), nn.ReLU()]

    return nn.Sequential(
        *stage(1, 32),
        *stage(32, 64),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        pairs = ((16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64))
        self.stem = conv_norm(1, 16)
        self.blocks = nn.Sequential(*(Residual(*pair) for pair in pairs))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        return self.fc(self.blocks(F.relu(self.stem(x))).mean(dim=(2, 3)))


def read_images(folder: Path, kind: str) -> tuple[Any, Any]:
    with gzip.open(folder / f"{kind}-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{kind}-labels-idx1-ubyte.gz") as file:
        t = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return x, t


def augmented(x: Any, rng: np.random.Generator) -> Any:
    """Each picture moved by up to two pixels, and half of them mirrored."""
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    moved = np.empty_like(x)
    for i, (top, left) in enumerate(rng.integers(0, 5, (len(x), 2))):
        moved[i] = padded[i, :, top : top + 28, left : left + 28]
    mirrored = rng.random(len(x)) < 0.5
    moved[mirrored] = moved[mirrored, :, :, ::-1]
    return moved


def pictures(options: argparse.Namespace) -> None:
    x, t = read_images(options.data_dir, "train")
    x_test, t_test = read_images(options.data_dir, "t10k")
    model = cnn() if options.run == "cnn" else ResNet()
    model = model.to(memory_format=torch.channels_last)
    peak, epochs, rows = 0.002, options.epochs, 64
    if options.run == "cnn":
        optimizer: Any = torch.optim.Adam(model.parameters(), peak, fused=True)
    else:
        peak = 0.1
        optimizer = torch.optim.SGD(
            model.parameters(), peak, 0.9, weight_decay=5e-4, nesterov=True, fused=True
        )

    def loss_of(x: Any, t: Any) -> Any:
        return F.cross_entropy(model(x), t)

    compiled: Callable[..., Any] = (
        torch.compile(loss_of) if options.compile else loss_of
    )
    rng = np.random.default_rng(0)
    batches = -(-len(x) // rows)

    def epoch() -> Iterator[tuple[Any, Any]]:
        order = rng.permutation(len(x))
        for i in range(batches):
            chosen = order[i * rows : (i + 1) * rows]
            one = x[chosen] if options.run == "cnn" else augmented(x[chosen], rng)
            one = torch.from_numpy(one.astype(np.float32) / 255)
            yield one.to(memory_format=torch.channels_last), torch.from_numpy(t[chosen])

    started, step = time.perf_counter(), 0
    for number in range(1, epochs + 1):
        model.train()
        for one, labels in epoch():
            for group in optimizer.param_groups:
                group["lr"] = peak * warm_cosine(step, epochs * batches)
            loss = compiled(one, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        model.eval()
        with torch.no_grad():
            hits = [
                model(torch.from_numpy(x_test[i : i + 500].astype(np.float32) / 255))
                .argmax(1)
                .numpy()
                == t_test[i : i + 500]
                for i in range(0, len(x_test), 500)
            ]
        print(
            f"epoch {number}/{epochs}: loss {loss.item():.4f}  test accuracy "
            f"{np.concatenate(hits).mean():.2%}  {time.perf_counter() - started:.0f} s",
            flush=True,
        )


# -- drawings --------------------------------------------------------------------------


class VAE(nn.Module):
    """As ``dezero.models.VAE`` of width 32."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.to_mean, self.to_log_var = nn.Linear(3136, 20), nn.Linear(3136, 20)
        self.decoder = nn.Sequential(
            nn.Linear(20, 3136), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        """The loss."""
        h = self.encoder(x)
        mean, log_var = self.to_mean(h), self.to_log_var(h)
        z = mean + torch.exp(log_var / 2) * torch.randn_like(mean)
        badly = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        far = (mean * mean + log_var.exp() - log_var - 1).sum() / 2
        return (badly + far) / len(x)


class GAN(nn.Module):
    """As ``dezero.models.DCGAN`` of width 32."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(
            nn.Unflatten(1, (100, 1, 1)),
            nn.ConvTranspose2d(100, 64, 7, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32),
            nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2), nn.Conv2d(64, 1, 7), nn.Flatten(),
        )  # fmt: skip

    def discriminator_loss(self, x: Any) -> Any:
        with torch.no_grad():
            fake = self.generator(torch.randn(len(x), 100))
        real, fake = self.discriminator(x), self.discriminator(fake)
        return _loss(real, torch.ones_like(real)) + _loss(fake, torch.zeros_like(fake))

    def generator_loss(self, n: int) -> Any:
        scores = self.discriminator(self.generator(torch.randn(n, 100)))
        return _loss(scores, torch.ones_like(scores))


_loss = F.binary_cross_entropy_with_logits


def drawings(options: argparse.Namespace) -> None:
    x, _ = read_images(options.data_dir, "train")
    model: Any = VAE() if options.run == "vae" else GAN()
    model = model.to(memory_format=torch.channels_last)

    def learner(loss_of: Any, part: Any, rate: float, beta1: float) -> Any:
        optimizer = torch.optim.Adam(
            part.parameters(), rate, betas=(beta1, 0.999), fused=True
        )
        compiled = torch.compile(loss_of) if options.compile else loss_of

        def learn(data: Any) -> float:
            loss = compiled(data)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.detach())

        return learn

    if options.run == "vae":
        learn = learner(model, model, 0.001, 0.9)
    else:
        tell = learner(model.discriminator_loss, model.discriminator, 0.0002, 0.5)
        draw = learner(model.generator_loss, model.generator, 0.0002, 0.5)
    rng, rows = np.random.default_rng(0), 64
    started = time.perf_counter()
    for number in range(1, options.epochs + 1):
        order, losses = rng.permutation(len(x)), []
        for i in range(0, len(x), rows):
            one = torch.from_numpy(x[order[i : i + rows]].astype(np.float32) / 255)
            one = one.to(memory_format=torch.channels_last)
            if options.run == "vae":
                losses.append([learn(one)])
            else:
                losses.append([tell(2 * one - 1), draw(len(one))])
        means = "  ".join(f"{mean:.3f}" for mean in np.mean(losses, axis=0))
        seconds = time.perf_counter() - started
        print(f"epoch {number}: loss {means}  {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", choices=["gpt", "lstm", "cnn", "resnet", "vae", "gan"])
    parser.add_argument("--text", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    if options.run in ("gpt", "lstm"):
        characters(options)
    elif options.run in ("vae", "gan"):
        drawings(options)
    else:
        pictures(options)


if __name__ == "__main__":
    main()
