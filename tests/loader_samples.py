"""Data sets for the tests of loaders: worker processes import them from here."""

import os
import random
import signal
import time

import numpy as np

import dezero
from dezero import Dataset


class Noisy:
    """Examples of two numbers: their own, and a random one of the framework's."""

    def __init__(self, length=20, size=1):
        self.length = length
        self.size = size

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        noise = dezero.random.generator().rand(self.size)
        return np.full(self.size, index) + noise, index


class Draws(Noisy):
    """Numbers drawn from NumPy's and from Python's own generator."""

    def __getitem__(self, index):
        return np.random.rand(), random.random()


class Switched(Noisy):
    """Whether the switch for training is on, where the example is made."""

    def __getitem__(self, index):
        return dezero.Config.train, index


class Pixels(Dataset):
    """Arrays with whole-batch transforms, or those that draw."""

    def prepare(self):
        self.data = np.arange(240, dtype=np.uint8).reshape(20, 3, 2, 2)
        self.label = np.arange(20)


class UnreadableError(Exception):
    """An exception that pickle can write but not read."""

    def __init__(self, number, _more):
        super().__init__(f"refused {number}")


class Failing(Noisy):
    """Its example 7 does what ``how`` says."""

    def __init__(self, how, length=20):
        super().__init__(length)
        self.how = how

    def __getitem__(self, index):
        if index == 7:
            if self.how == "raise":
                raise KeyError("seven")
            if self.how == "refuse":
                raise UnreadableError(7, None)
            if self.how == "exit":
                os._exit(3)
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "sleep":
                time.sleep(0.1)
            if self.how == "hang":
                time.sleep(600)
        return super().__getitem__(index)


class Nested(Noisy):
    """Examples that have a loader of their own, between two draws."""

    def __getitem__(self, index):
        generator = dezero.random.generator()
        first = generator.rand()
        inner = dezero.DataLoader(Noisy(4), 2, seed=index)
        total = sum(x.sum() for x, _ in inner)
        return first, total, generator.rand()


class Unreadable(Noisy):
    """A data set that pickle can write but not read."""

    def __setstate__(self, state):
        raise OSError("no such disk")


class Varied(Noisy):
    """Of batches of two examples each has another size, some beyond a message's."""

    def __getitem__(self, index):
        return np.full((index // 2 * 5000, 2), index, dtype=np.float32), str(index)


def gathered(examples):
    """A batch that is a dictionary, with a number drawn for the whole of it."""
    return {
        "x": np.stack([x for x, _ in examples]),
        "names": [f"name{t}" for _, t in examples],
        "drawn": dezero.random.generator().rand(),
    }


def worker_pid(examples):
    """Who makes the batch."""
    return os.getpid()


def printing(examples):
    """A batch that says that it is made."""
    print("made", len(examples))
