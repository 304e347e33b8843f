"""Text as numbers: tokenizers, and stretches of tokens for language models."""

from __future__ import annotations

import importlib
import json
import mmap
import operator
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.files import PathLike, write_atomically
from dezero.errors import DataError, missing
from dezero.random import generator

FORMAT = "dezero.CharTokenizer"
END_OF_TEXT = "<|endoftext|>"


def read_text(path: PathLike, operation: str = "read_text") -> str:
    """The text of a file in UTF-8, every end of a line as ``\\n``.

    Args:
        path: The file.
        operation: Who reads it, for the error.

    Raises:
        DataError: It is not text in UTF-8.
        FileNotFoundError: There is no such file.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{operation}: expected text in {Path(path).name}, got bytes where {error}"
        ) from error


# ------------------------------------------------------------------------ characters
class CharTokenizer:
    """Each character a token, numbered in the order of Unicode.

    Args:
        text: A text that has all characters of the vocabulary.

    Attributes:
        characters: The characters, in the order of their numbers.

    Raises:
        ValueError: The text is empty.

    >>> tokenizer = CharTokenizer('hello')
    >>> len(tokenizer), tokenizer.encode('hole')
    (4, array([1, 3, 2, 0]))
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("CharTokenizer: expected a text, got an empty one")
        self._codes = np.unique(_codes(text))
        self.characters = _text(self._codes)

    def __len__(self) -> int:
        """How many tokens there are."""
        return len(self._codes)

    def encode(self, text: str) -> Array:
        """The numbers of the characters, (len(text),) of type int64.

        Raises:
            ValueError: One is not in the vocabulary.
        """
        codes = _codes(text)
        ids = np.searchsorted(self._codes, codes).clip(max=len(self) - 1)
        unknown = np.flatnonzero(self._codes[ids] != codes)
        if unknown.size:
            raise ValueError(
                "CharTokenizer.encode: expected characters of the vocabulary, got "
                f"{text[unknown[0]]!r} at {unknown[0]}"
            )
        return ids.astype(np.int64)

    def decode(self, ids: Any) -> str:
        """The characters of the numbers.

        Raises:
            ValueError: There is no token of a number.
        """
        return _text(self._codes[_ids("CharTokenizer.decode", ids, len(self))])

    def save(self, path: PathLike) -> None:
        """Write the vocabulary to a file, as JSON."""
        with write_atomically(path, "w") as file:
            json.dump({"format": FORMAT, "characters": self.characters}, file)

    @classmethod
    def load(cls, path: PathLike) -> CharTokenizer:
        """Read what ``save`` has written.

        Raises:
            DataError: It is something else.
            FileNotFoundError: There is no such file.
        """
        try:
            content = json.loads(read_text(path, "CharTokenizer.load"))
            characters = content["characters"]
            if content["format"] != FORMAT or not isinstance(characters, str):
                raise ValueError("it has another format")
            tokenizer = cls(characters)
            if tokenizer.characters != characters:
                raise ValueError("its characters are not in order")
        except DataError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"CharTokenizer.load: expected a vocabulary in {Path(path).name}, got "
                f"a file where {type(error).__name__}: {error}"
            ) from error
        return tokenizer


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _text(codes: Array) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _ids(operation: str, ids: Any, size: int) -> Array:
    """Numbers of tokens, as an array (N,)."""
    ids = np.atleast_1d(np.asarray(ids))
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(
            f"{operation}: expected integers (N,), got {ids.dtype} of shape {ids.shape}"
        )
    if ids.size and not 0 <= ids.min() <= ids.max() < size:
        raise ValueError(
            f"{operation}: expected numbers from 0 to {size - 1}, got numbers from "
            f"{ids.min()} to {ids.max()}"
        )
    return ids.astype(np.intp)


# ---------------------------------------------------------------- pairs of bytes
class BPETokenizer:
    """Frequent sequences of bytes are tokens: any text can be encoded.

    It works through the library ``tokenizers``, whose files ``tokenizer.json`` come
    with most published models.

    Source: R. Sennrich, B. Haddow and A. Birch, Neural machine translation of rare
    words with subword units, 2015, arXiv 1508.07909; on bytes: A. Radford et al.,
    Language models are unsupervised multitask learners, 2019.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``; ``train`` and ``load`` make one.

    >>> tokenizer = BPETokenizer.train(['low lower lowest'] * 9, size=300)
    >>> ids = tokenizer.encode('lower ☂')
    >>> len(ids) < len('lower ☂'.encode()), tokenizer.decode(ids)
    (True, 'lower ☂')
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int,
        special: Sequence[str] = (END_OF_TEXT,),
    ) -> BPETokenizer:
        """A vocabulary for some texts, of bytes and of what often stands together.

        Args:
            texts: The texts, for example the lines of files.
            size: How many tokens at most, of which 256 are the single bytes.
            special: Tokens that no text is made of, which come first.

        Raises:
            ValueError: ``size`` is too small.
            TypeError: ``texts`` is one text.
            MissingDependencyError: The library ``tokenizers`` is not installed.
        """
        library = _tokenizers("BPETokenizer.train")
        if isinstance(texts, str):
            raise TypeError(
                "BPETokenizer.train: expected several texts, got a str; write [text]"
            )
        smallest = 256 + len(special)
        if size < smallest:
            raise ValueError(
                f"BPETokenizer.train: expected a size of at least {smallest}, one for "
                f"each byte and special token, got {size}"
            )
        bytes_first = library.pre_tokenizers.ByteLevel
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = bytes_first(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(special),
            initial_alphabet=bytes_first.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def train_from_files(
        cls,
        paths: Iterable[PathLike],
        size: int,
        special: Sequence[str] = (END_OF_TEXT,),
    ) -> BPETokenizer:
        """As ``train``, on the texts of files.

        Raises:
            DataError: A file is not text in UTF-8.
            TypeError: ``paths`` is one path.
        """
        if isinstance(paths, (str, os.PathLike)):
            raise TypeError(
                "BPETokenizer.train_from_files: expected several paths, got a "
                f"{type(paths).__name__}; write [path]"
            )
        name = "BPETokenizer.train_from_files"
        return cls.train((read_text(path, name) for path in paths), size, special)

    @classmethod
    def load(cls, path: PathLike) -> BPETokenizer:
        """Read a ``tokenizer.json``, one's own or that of a published model.

        Raises:
            DataError: It is something else.
            FileNotFoundError: There is no such file.
            MissingDependencyError: The library ``tokenizers`` is not installed.
        """
        library = _tokenizers("BPETokenizer.load")
        content = read_text(path, "BPETokenizer.load")
        try:
            return cls(library.Tokenizer.from_str(content))
        except Exception as error:  # the library raises no type of its own
            raise DataError(
                f"BPETokenizer.load: expected a tokenizer in {Path(path).name}, got a "
                f"file where {error}"
            ) from error

    def save(self, path: PathLike) -> None:
        """Write it to a file, in the form of ``tokenizer.json``."""
        with write_atomically(path, "w") as file:
            file.write(self.tokenizer.to_str())

    def __len__(self) -> int:
        """How many tokens there are."""
        return self.tokenizer.get_vocab_size()

    def id_of(self, token: str) -> int:
        """The number of a token, such as ``'<|endoftext|>'``.

        Raises:
            ValueError: There is no such token.
        """
        number = self.tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(
                f"BPETokenizer.id_of: expected a token of the vocabulary, got {token!r}"
            )
        return number

    def encode(self, text: str, special: bool = False) -> Array:
        """The numbers of the tokens of a text, of type int64.

        Args:
            text: The text.
            special: Whether to add what the model wants around it, as BERT's [CLS].
        """
        encoded = self.tokenizer.encode(text, add_special_tokens=special)
        return np.array(encoded.ids, dtype=np.int64)

    def decode(self, ids: Any, special: bool = True) -> str:
        """The text of the tokens.

        Args:
            ids: Their numbers.
            special: Whether special tokens are written, too.

        Raises:
            ValueError: There is no token of a number.
        """
        ids = _ids("BPETokenizer.decode", ids, len(self))
        return self.tokenizer.decode(ids.tolist(), skip_special_tokens=not special)


def _tokenizers(operation: str) -> ModuleType:
    try:
        return importlib.import_module("tokenizers")
    except ImportError:
        raise missing("tokenizers", operation, "text") from None


# ------------------------------------------------------------------------- stretches
class TextDataset:
    """Stretches of tokens, each with the same one token later: to foretell the next.

    Without ``random`` they begin at every ``stride``-th token. With it, a pass has so
    many of them, from places that are drawn when they are asked for: with the seed of
    a :class:`DataLoader` others in each epoch, the same in each run.

    Args:
        ids: The tokens (N,), integers. An array in a file (``np.memmap``, or
            ``np.load`` with ``mmap_mode='r'``) stays there, for worker processes, too.
        length: How many tokens make a stretch.
        stride: How far apart they begin; ``length`` if not given, so that no token
            comes twice.
        random: How many random stretches make a pass.

    Raises:
        TypeError: ``ids`` is not a vector of integers.
        ValueError: ``length``, ``stride`` or ``random`` is below 1, there are not more
            tokens than ``length``, or both ``stride`` and ``random`` are given.

    >>> data = TextDataset(np.arange(10), length=3)
    >>> len(data), data[1]
    (3, (array([3, 4, 5]), array([4, 5, 6])))
    """

    def __init__(
        self,
        ids: Any,
        length: int,
        stride: int | None = None,
        random: int | None = None,
    ) -> None:
        ids = np.asanyarray(ids)
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise TypeError(
                f"TextDataset: expected ids (N,) of integers, got {ids.dtype} of shape "
                f"{ids.shape}"
            )
        if stride is not None and random is not None:
            raise ValueError(
                f"TextDataset: expected stride or random, got both, {stride} and "
                f"{random}"
            )
        for name, value in (("length", length), ("stride", stride), ("random", random)):
            if value is not None and value < 1:
                raise ValueError(
                    f"TextDataset: expected {name} of at least 1, got {value}"
                )
        if len(ids) <= length:
            raise ValueError(
                f"TextDataset: expected more than {length} ids, the length of a "
                f"stretch, got {len(ids)}"
            )
        self.ids = ids
        self.length = length
        self.stride = length if stride is None else stride
        self.random = random

    def __len__(self) -> int:
        if self.random is not None:
            return self.random
        return (len(self.ids) - self.length - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        """Two stretches (length,) of type int64."""
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(
                f"TextDataset: expected an index from {-len(self)} to {len(self) - 1}, "
                f"got {number}"
            )
        if self.random is None:
            begin = number % len(self) * self.stride
        else:
            begin = int(generator().rand() * (len(self.ids) - self.length))
        stretch = np.array(self.ids[begin : begin + self.length + 1], dtype=np.int64)
        return stretch[:-1], stretch[1:]

    def __getstate__(self) -> dict[str, Any]:
        ids: Any = self.ids
        if isinstance(ids, np.memmap) and isinstance(ids.base, mmap.mmap):
            place = os.fspath(ids.filename or ""), ids.dtype, ids.offset, ids.shape
            return {**vars(self), "ids": place}
        return vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(state["ids"], tuple):
            path, dtype, offset, shape = state["ids"]
            self.ids = np.memmap(path, dtype, "r", offset, shape)
