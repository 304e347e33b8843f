"""A GPT learns to write, letter by letter; an LSTM beside it, to compare.

A transformer sees 128 letters at a time and says of each place what comes next: every
window of the text is 128 exercises at once. The last tenth of the text is kept apart;
the loss on it, in nats per letter, says what was learned and not merely remembered.

By default the text is 1.1 million letters of Shakespeare, downloaded once; ``--text
FILE`` takes any other. Needs NumPy alone; with ``--compile`` (and llvmlite) it is about
twice as fast. The GPT has 0.8 million parameters.
"""

import argparse
import io
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Model
from dezero.data import CharTokenizer
from dezero.datasets import Shakespear
from dezero.models import GPT
from dezero.optimizers import AdamW, ClipGrad, Cosine, Groups, split

parser = argparse.ArgumentParser(description="A GPT learns to write")
parser.add_argument("--text", type=Path, help="a file to learn from")
parser.add_argument("--network", choices=["gpt", "lstm"], default="gpt")
parser.add_argument("--steps", type=int, default=5000, help="of 16 windows each")
parser.add_argument("--letters", type=int, default=500, help="to write in the end")
parser.add_argument("--temperature", type=float, default=0.8, help="of the writing")
parser.add_argument("--quick", action="store_true", help="the Zen of Python instead")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
length, rows, steps, every = 128, 16, options.steps, 500
if options.quick:
    length, rows, steps, every = 32, 4, 20, 10


class LSTM(Model):
    """Two layers of long short-term memories."""

    def __init__(self, vocabulary, hidden):
        super().__init__()
        self.tokens = L.EmbedID(vocabulary, hidden)
        self.lstm = L.LSTM(hidden, num_layers=2)
        self.head = L.Linear(vocabulary)

    def forward(self, ids):
        return self.head(self.lstm(self.tokens(ids)))


def load_text():
    if options.text is not None:
        return options.text.read_text(encoding="utf-8")
    if not options.quick:
        shakespeare = Shakespear()
        return "".join(shakespeare.id_to_char[i] for i in shakespeare.data)
    with redirect_stdout(io.StringIO()) as zen:
        import this  # noqa: F401  (which prints it)
    return zen.getvalue()


np.random.seed(0)
text = load_text()
tokenizer = CharTokenizer(text)
ids = tokenizer.encode(text)
cut = int(0.9 * len(ids))
train, valid = ids[:cut], ids[cut:]
if options.network == "gpt":
    model = GPT(len(tokenizer), length, width=128, heads=4, depth=4)
    rate = 0.001
else:
    model = LSTM(len(tokenizer), hidden=256)
    rate = 0.002
with dezero.no_grad():
    model(train[None, :length])  # the first call shapes the parameters
matrices, rest = split(model, lambda name, p: p.ndim > 1)
optimizer = Groups(
    AdamW(rate, beta2=0.99, decay=0.1).setup(matrices),
    AdamW(rate, beta2=0.99, decay=0.0).setup(rest),
)
optimizer.add_hook(ClipGrad(1.0))
schedule = Cosine(optimizer, steps, warmup=steps // 50)


def loss_of(x, t):
    scores = model(x)  # (N, T, vocabulary)
    return F.softmax_cross_entropy(scores.reshape(-1, len(tokenizer)), t.reshape(-1))


def step(x, t):
    loss = loss_of(x, t)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss


if options.compile:
    step, loss_of = dezero.compile(step), dezero.compile(loss_of)


def validate():
    """The mean loss over the text that is kept apart, window after window."""
    count = (len(valid) - 1) // length
    x = valid[: count * length].reshape(count, length)
    t = valid[1 : count * length + 1].reshape(count, length)
    with dezero.no_grad(), dezero.test_mode():
        losses = [float(loss_of(x[i : i + 1], t[i : i + 1])) for i in range(count)]
    return np.mean(losses)


parameters = sum(p.size for p in model.params())
print(f"{len(train):,} letters, {parameters:,} parameters", flush=True)
started = time.perf_counter()
for i in range(1, steps + 1):
    starts = np.random.randint(0, len(train) - length, rows)
    windows = train[starts[:, None] + np.arange(length + 1)]
    loss = step(windows[:, :-1], windows[:, 1:])
    schedule.step()
    if i % every == 0 or i == steps:
        seconds = time.perf_counter() - started
        print(
            f"step {i}: loss {float(loss):.4f}  validation {validate():.4f}  "
            f"{seconds:.0f} s",
            flush=True,
        )

if options.network == "gpt":
    written = model.generate(ids[None, :1], options.letters, options.temperature)[0]
else:
    written = list(ids[:1])
    for _ in range(options.letters):
        with dezero.no_grad():
            scores = model(np.array(written[-length:])[None]).data[0, -1]
        p = np.exp((scores - scores.max()) / options.temperature)
        written.append(np.random.choice(len(p), p=p / p.sum()))
print(tokenizer.decode(written))
