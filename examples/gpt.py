"""A GPT learns to write, letter by letter; or an LSTM, to compare.

A transformer reads 128 letters at once and says at each what comes next, so that a
window of the text is 128 exercises. The last tenth of the text is kept apart: the loss
on it, in nats per letter, tells what was learned and not merely remembered. By default
the text is 1.1 million letters of Shakespeare, downloaded once; ``--text FILE`` takes
any other. The GPT has 0.8 million parameters, the LSTM 1.1 million.

Needs NumPy alone. With ``--compile`` the GPT takes about 6 minutes on two cores.
"""

import argparse
from pathlib import Path

import numpy as np

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero.data import CharTokenizer
from dezero.datasets import Shakespear
from dezero.models import GPT, Sequential
from dezero.optimizers import AdamW, ClipGrad, Cosine, Groups, split

parser = argparse.ArgumentParser(description="A GPT learns to write")
parser.add_argument("--text", type=Path, help="a file to learn from")
parser.add_argument("--network", choices=["gpt", "lstm"], default="gpt")
parser.add_argument("--steps", type=int, default=4000, help="of 16 windows each")
parser.add_argument("--quick", action="store_true", help="30 steps on this very text")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
length, rows, steps = (32, 4, 30) if options.quick else (128, 16, options.steps)


def load_text():
    if options.text or options.quick:
        return Path(options.text or __file__).read_text(encoding="utf-8")
    text = Shakespear()
    return "".join(text.id_to_char[i] for i in text.data)


np.random.seed(0)
text = load_text()
tokenizer = CharTokenizer(text)
letters, ids = len(tokenizer), tokenizer.encode(text)
train, valid = np.split(ids, [int(0.9 * len(ids))])
if options.network == "gpt":
    model, rate = GPT(letters, length, width=128, heads=4, depth=4), 0.001
else:
    layers = L.EmbedID(letters, 256), L.LSTM(256, num_layers=2), L.Linear(letters)
    model, rate = Sequential(*layers), 0.002
model(train[None, :9])  # the first call shapes the parameters
matrices, rest = split(model, lambda name, param: param.ndim > 1)
optimizer = Groups(
    AdamW(rate, beta2=0.99, decay=0.1).setup(matrices),
    AdamW(rate, beta2=0.99, decay=0.0).setup(rest),
)
optimizer.add_hook(ClipGrad(1.0))
schedule = Cosine(optimizer, steps, warmup=min(100, steps // 3))


def loss_of(windows):
    scores = model(windows[:, :-1])  # (N, T, letters)
    labels = windows[:, 1:].reshape(-1)
    return F.softmax_cross_entropy(scores.reshape(-1, letters), labels)


def step(windows):
    loss = loss_of(windows)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss


if options.compile:
    step, loss_of = dezero.compile(step), dezero.compile(loss_of)
for i in range(1, steps + 1):
    starts = np.random.randint(0, len(train) - length, rows)
    loss = step(train[starts[:, None] + np.arange(length + 1)])
    schedule.step()
    if i % (steps // 8) == 0:
        with dezero.no_grad():
            ends = range(length + 1, len(valid), length)
            losses = [float(loss_of(valid[None, e - length - 1 : e])) for e in ends]
        print(f"step {i}: loss {float(loss):.4f}", end="  ")
        print(f"validation {np.mean(losses):.4f}", flush=True)

written = ids[:1]  # the first letter; from here on it writes
if options.network == "gpt":
    written = model.generate(written[None], 500, temperature=0.8)[0]
while len(written) <= 500:
    with dezero.no_grad():
        scores = model(written[None, -length:])[0, -1:] / 0.8
    p = F.softmax(scores).data[0].astype(float)
    written = np.append(written, np.random.choice(letters, p=p / p.sum()))
print(tokenizer.decode(written))
