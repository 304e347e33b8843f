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
from dezero import Dataset, Model, SeqDataLoader
from dezero.datasets import Shakespear
from dezero.optimizers import Adam, ClipGrad

parser = argparse.ArgumentParser(description="A model of characters")
parser.add_argument("--text", type=Path, help="a file to learn from")
parser.add_argument("--epochs", type=int, default=5, help="passes over the text")
parser.add_argument("--temperature", type=float, default=0.8, help="of the writing")
parser.add_argument("--quick", action="store_true", help="the Zen of Python instead")
options = parser.parse_args()
hidden, batch_size, bptt, lr, epochs = 256, 64, 50, 0.002, options.epochs
if options.quick:
    hidden, batch_size, bptt, lr, epochs = 64, 8, 25, 0.01, 20


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


class Writer(Model):
    def __init__(self, letters, hidden):
        super().__init__()
        self.embed = L.EmbedID(letters, hidden)
        self.rnn = L.LSTM(hidden)
        self.fc = L.Linear(letters)

    def forward(self, ids):
        return self.fc(self.rnn(self.embed(ids)))


def write(model, text, start, length):
    """Let the model go on after a letter, each drawn by its probability."""
    model.rnn.reset_state()
    written = start
    with dezero.no_grad():
        for _ in range(length):
            scores = model(np.array([text.char_to_id[written[-1]]]))
            p = F.softmax(scores / options.temperature).data[0].astype(np.float64)
            written += text.id_to_char[np.random.choice(len(p), p=p / p.sum())]
    return written


np.random.seed(0)
text = load_text()
loader = SeqDataLoader(text, batch_size)
model = Writer(len(text.id_to_char), hidden)
optimizer = Adam(lr).setup(model)
optimizer.add_hook(ClipGrad(1.0))
for epoch in range(1, epochs + 1):
    model.rnn.reset_state()
    loss = total = 0.0
    for step, (x, t) in enumerate(loader, start=1):
        loss += F.softmax_cross_entropy(model(x), t)
        if step % bptt == 0 or step == len(loader):
            model.cleargrads()
            (loss / bptt).backward()
            loss.unchain_backward()
            optimizer.update()
            total += float(loss)
            loss = 0.0
    print(f"epoch {epoch}: loss {total / len(loader):.4f} per letter", flush=True)
print(write(model, text, start=text.id_to_char[int(text.data[0])], length=400))
