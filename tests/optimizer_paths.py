"""Makes optimizer_paths.json: what PyTorch's optimizers and schedules do.

    python tests/optimizer_paths.py        # wherever torch is installed; here 2.13

Every path is that of W (2, 3), V (3, 2) and b (2,) down a function that is quadratic in
parts and not in others, at some of its 20 steps, flattened. Two differences of
PyTorch's Muon are taken back: it computes in bfloat16, and has its matrices transposed.
"""

import json
import re
from pathlib import Path

import torch
from torch import optim
from torch.optim import lr_scheduler

STEPS = [1, 2, 3, 5, 8, 13, 20]
torch.Tensor.bfloat16 = torch.Tensor.clone
torch.set_default_dtype(torch.float64)


def starts():
    W = torch.arange(6).reshape(2, 3) / 5 - 0.5
    V = torch.sin(torch.arange(6) * 2.0).reshape(3, 2)
    return [W, V, torch.tensor([0.7, -0.3])]


def problem(W, V, b):
    x = torch.cos(torch.arange(8) * 1.0).reshape(4, 2)
    y = torch.tanh(x @ W) @ V + b
    return (
        ((y - 1) ** 2).mean()
        + (W**4).sum() / 4
        - torch.sin(3 * b).sum()
        + (V**2).sum() / 9
    )


def path(make, only=3):
    params = [torch.nn.Parameter(x) for x in starts()]
    if only == 2:  # Muon: (outs, ins)
        params = [
            torch.nn.Parameter(x.T.contiguous()) if x.ndim == 2 else x for x in starts()
        ]
    optimizer = make([p for p in params if isinstance(p, torch.nn.Parameter)])
    found = {}
    for step in range(1, 21):
        optimizer.zero_grad()
        problem(*(p.T if only == 2 and p.ndim == 2 else p for p in params)).backward()
        optimizer.step()
        if step in STEPS:
            now = [p.T if only == 2 and p.ndim == 2 else p for p in params]
            found[step] = [
                round(v, 11) for p in now for v in p.detach().flatten().tolist()
            ]
    return found


PATHS = {
    "SGD": lambda p: optim.SGD(p, 0.05),
    "MomentumSGD": lambda p: optim.SGD(p, 0.03, momentum=0.8),
    "Nesterov": lambda p: optim.SGD(p, 0.03, momentum=0.8, nesterov=True),
    "AdaGrad": lambda p: optim.Adagrad(p, 0.1, eps=1e-3),
    "AdaDelta": lambda p: optim.Adadelta(p, 1.0, rho=0.9, eps=1e-4),
    "RMSprop": lambda p: optim.RMSprop(p, 0.02, alpha=0.9, eps=1e-3),
    "RMSprop, centered": lambda p: optim.RMSprop(p, 0.01, alpha=0.9, centered=True),
    "RMSprop, momentum": lambda p: optim.RMSprop(p, 0.01, alpha=0.9, momentum=0.7),
    "RMSprop, both": lambda p: optim.RMSprop(p, 0.01, momentum=0.7, centered=True),
    "Adam": lambda p: optim.Adam(p, 0.05, betas=(0.8, 0.95), eps=1e-12),
    "AdamW": lambda p: optim.AdamW(p, 0.05, (0.8, 0.95), eps=1e-3, weight_decay=0.3),
    "NAdam": lambda p: optim.NAdam(p, 0.05, (0.8, 0.95), 1e-3, momentum_decay=0.01),
    "RAdam": lambda p: optim.RAdam(p, 0.05, betas=(0.8, 0.95), eps=1e-3),
    "RAdam, short": lambda p: optim.RAdam(p, 0.05, betas=(0.8, 0.5), eps=1e-3),
    "WeightDecay": lambda p: optim.Adam(p, 0.05, eps=1e-12, weight_decay=0.2),
}  # fmt: skip
MUON = {
    "Muon": lambda p: optim.Muon(p, 0.02, weight_decay=0.1),
    "Muon, plain": lambda p: optim.Muon(p, 0.02, 0.0, momentum=0.8, nesterov=False),
}  # fmt: skip


def cosine(o):
    warm = lr_scheduler.LambdaLR(o, lambda t: (t + 1) / 4)
    return lr_scheduler.SequentialLR(
        o, [warm, lr_scheduler.CosineAnnealingLR(o, 9, eta_min=0.05)], [3]
    )


METRICS = [3.0, 2.0, 2.0, 2.1, 1.9999, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 1.0, 1.0, 1.0, 1.0]
SCHEDULES = {
    "StepDecay": lambda o: lr_scheduler.StepLR(o, 4, 0.3),
    "MultiStep": lambda o: lr_scheduler.MultiStepLR(o, [2, 5, 5, 9], 0.5),
    "Exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "Cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 14),
    "Cosine, warm-up": cosine,
    "CosineRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 2, 0.05),
    "OneCycle": lambda o: lr_scheduler.OneCycleLR(
        o, 0.5, total_steps=15, cycle_momentum=False
    ),
    "Polynomial": lambda o: lr_scheduler.PolynomialLR(o, 12, power=2.0),
}  # fmt: skip


def rates(make):
    optimizer = optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.5)
    schedule = make(optimizer)
    found = []
    for _ in range(15):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def plateau(**options):
    optimizer = optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.5)
    schedule = lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=1, factor=0.5, **options
    )
    found = []
    for metric in METRICS:
        schedule.step(metric)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def main():
    found = {
        "torch": torch.__version__.split("+")[0],
        "paths": {name: path(make) for name, make in PATHS.items()}
        | {name: path(make, only=2) for name, make in MUON.items()},
        "schedules": {name: rates(make) for name, make in SCHEDULES.items()},
        "metrics": METRICS,
        "plateau": {
            "min": plateau(),
            "max": plateau(mode="max"),
            "cooldown": plateau(cooldown=2, threshold=0.1),
        },
    }
    text = re.sub(
        r"\[[^]]*]", lambda x: "".join(x[0].split()), json.dumps(found, indent=1)
    )
    Path(__file__).with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
