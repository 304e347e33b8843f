"""A text, letter by letter: an LSTM learns what comes next, then writes on its own.

Every letter is a number, ``EmbedID`` gives each number a vector, the LSTM carries what
it has read, and a linear layer scores the next letter. By default the text is 1.1
million letters of Shakespeare, downloaded once; ``--text FILE`` takes any other.

Needs NumPy alone. Shakespeare takes about 2 minutes an epoch on two cores; after one
epoch the words have the right length, after five most of them are English.
"""

import argparse
import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Dataset, SeqDataLoader
from dezero.datasets import Shakespear
from dezero.models import Sequential
from dezero.optimizers import Adam, ClipGrad

parser = argparse.ArgumentParser(description="A model of characters")
parser.add_argument("--text", type=Path, help="a file to learn from")
parser.add_argument("--epochs", type=int, default=5, help="passes over the text")
parser.add_argument("--temperature", type=float, default=0.8, help="of the writing")
parser.add_argument("--quick", action="store_true", help="the Zen of Python instead")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
hidden, batch_size, bptt, lr, epochs = 256, 64, 50, 0.002, options.epochs
if options.quick:
    hidden, batch_size, bptt, lr, epochs = 64, 17, 10, 0.01, 20


class Text(Dataset):
    """The letters of a text as numbers; the label of each is the next one."""

    def __init__(self, text):
        self.id_to_char = dict(enumerate(sorted(set(text))))
        self.char_to_id = {char: i for i, char in self.id_to_char.items()}
        ids = np.array([self.char_to_id[char] for char in text])
        super().__init__()
        self.data, self.label = ids[:-1], ids[1:]


def load_text():
    if options.text is not None:
        return Text(options.text.read_text(encoding="utf-8"))
    if not options.quick:
        return Shakespear()
    with redirect_stdout(io.StringIO()) as zen:
        import this  # noqa: F401  (which prints it)
    return Text(zen.getvalue())


np.random.seed(0)
text = load_text()
batches = list(SeqDataLoader(text, batch_size))
letters, rnn = len(text.id_to_char), L.LSTM(hidden)
model = Sequential(L.EmbedID(letters, hidden), rnn, L.Linear(letters))
optimizer = Adam(lr).setup(model)
optimizer.add_hook(ClipGrad(1.0))


def step(stretch, start):
    """Learn from some batches, which go on where the last ones ended."""
    if start:
        rnn.reset_state()
    loss = sum(F.softmax_cross_entropy(model(x), t) for x, t in stretch)
    model.cleargrads()
    (loss / bptt).backward()
    loss.unchain_backward()
    optimizer.update()
    return loss


def guess(ids):
    """How probable each letter is as the next one."""
    with dezero.no_grad():
        return F.softmax(model(ids) / options.temperature)


if options.compile:
    step, guess = dezero.compile(step), dezero.compile(guess)
for epoch in range(1, epochs + 1):
    total = 0.0
    for i in range(0, len(batches), bptt):
        total += float(step(batches[i : i + bptt], start=i == 0))
    print(f"epoch {epoch}: loss {total / len(batches):.4f} per letter", flush=True)

ids = text.data[:1]  # the first letter; from here on it writes
rnn.reset_state()
for _ in range(400):
    p = guess(ids[-1:]).data[0].astype(np.float64)
    ids = np.append(ids, np.random.choice(letters, p=p / p.sum()))
print("".join(text.id_to_char[i] for i in ids))
