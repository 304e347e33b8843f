"""The works, and how long to measure each."""

from typing import NamedTuple


class Work(NamedTuple):
    text: str
    steps: int  # of one measurement
    warmup: int = 3
    rounds: int = 1000  # at most
    trains: bool = True  # a model by an optimizer: it can be compiled


WORKS = {
    "chain": Work(
        "chain of 1,000 times `y = y * 0.999 + x`, forward + backward", 20, trains=False
    ),
    "branches": Work(
        "sum of 500 branches `(x * 2).sum()`, 8 elements", 20, trains=False
    ),
    "mlp_sgd": Work("MLP 784-1000-10, sigmoid, batch 100, SGD, one step", 100),
    "mlp_adam": Work("MLP 784-512-512-10, ReLU, batch 128, Adam, one step", 80),
    "lstm": Work("LSTM, batch 30, hidden 100, BPTT over 30 steps, Adam", 20),
    "penalty": Work("gradient penalty, MLP 64-256-256-1, tanh, batch 128, Adam", 50),
    "gpt": Work("GPT, 4 layers of width 128, 4 heads, 16×64 tokens, AdamW", 5),
    "cnn": Work("CNN 32-32-pool-64-64-pool-256-10 on 64×3×32×32, momentum", 5),
    "resnet": Work("ResNet 16-32-64, 6 blocks, on 32×3×32×32, momentum", 5),
    "loader": Work(
        "DataLoader, one pass over 60,000×784, batches of 100", 1, trains=False
    ),
    "negate_1000": Work(
        "chain of 1,000 Functions, forward + backward + freed", 20, trains=False
    ),
    "negate_1000000": Work(
        "the same of 1,000,000 Functions", 1, warmup=0, rounds=3, trains=False
    ),
}
TRAINING = [name for name, work in WORKS.items() if work.trains]
