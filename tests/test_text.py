"""Tokenizers, and stretches of tokens for language models."""

import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

import dezero
from dezero import DataLoader
from dezero.data import BPETokenizer, CharTokenizer, TextDataset, read_text
from dezero.errors import DataError

POEM = "Two roads diverged in a yellow wood,\nAnd sorry I could not travel both ☂\n"


def test_characters_there_and_back(tmp_path):
    tokenizer = CharTokenizer(POEM)
    assert tokenizer.characters == "".join(sorted(set(POEM)))
    assert len(tokenizer) == len(set(POEM))
    ids = tokenizer.encode(POEM)
    assert ids.dtype == np.int64
    assert ids.tolist() == [tokenizer.characters.index(c) for c in POEM]
    assert tokenizer.decode(ids) == tokenizer.decode(ids.astype(np.uint8)) == POEM
    assert tokenizer.decode(ids[3]) == POEM[3]
    assert tokenizer.encode("").shape == (0,) and tokenizer.decode([]) == ""
    tokenizer.save(tmp_path / "characters.json")
    loaded = CharTokenizer.load(tmp_path / "characters.json")
    assert loaded.encode(POEM).tolist() == ids.tolist()
    odd = "\ud800\x00😀"  # half of a pair, a zero, beyond 16 bits
    assert CharTokenizer(odd).decode(CharTokenizer(odd).encode(odd)) == odd


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "JSONDecodeError: .*"),
        ("[]", "TypeError: .*"),
        ("{}", "KeyError: 'characters'"),
        (
            '{"format": "other", "characters": "ab"}',
            "ValueError: it has another format",
        ),
        (
            '{"format": "dezero.CharTokenizer", "characters": "ba"}',
            "ValueError: its characters are not in order",
        ),
        (
            '{"format": "dezero.CharTokenizer", "characters": ""}',
            "ValueError: CharTokenizer: expected a text, got an empty one",
        ),
    ],
)
def test_a_file_that_is_no_vocabulary(tmp_path, content, reason):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    message = (
        r"^CharTokenizer.load: expected a vocabulary in vocabulary.json, got a file "
        rf"where {reason}$"
    )
    with pytest.raises(DataError, match=message):
        CharTokenizer.load(path)


def test_text_files(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_bytes(POEM.replace("\n", "\r\n").encode())
    assert read_text(path) == POEM
    path.write_bytes(b"a\xff")
    message = (
        "read_text: expected text in poem.txt, got bytes where 'utf-8' codec can't "
        "decode byte 0xff in position 1: invalid start byte"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_text(path)
    with pytest.raises(DataError, match=r"^CharTokenizer.load: expected text in "):
        CharTokenizer.load(path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")


# -------------------------------------------------------------------- pairs of bytes
@pytest.fixture(scope="module")
def bpe():
    pytest.importorskip("tokenizers")
    return BPETokenizer.train([POEM] * 20, 320, special=["<|endoftext|>", "<pad>"])


def test_pairs_there_and_back(bpe, tmp_path):
    assert 258 < len(bpe) <= 320
    for text in (POEM, "never seen: żółw 亀\n\t", ""):
        ids = bpe.encode(text)
        assert ids.dtype == np.int64 and ids.ndim == 1
        assert bpe.decode(ids) == text
    assert len(bpe.encode(POEM)) < len(POEM) / 1.5
    bpe.save(tmp_path / "tokenizer.json")
    assert json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["model"]
    loaded = BPETokenizer.load(tmp_path / "tokenizer.json")
    copied = pickle.loads(pickle.dumps(loaded))  # as worker processes get it
    for other in (loaded, copied):
        assert other.encode(POEM).tolist() == bpe.encode(POEM).tolist()


def test_special_tokens(bpe):
    assert (bpe.id_of("<|endoftext|>"), bpe.id_of("<pad>")) == (0, 1)
    ids = bpe.encode("a<|endoftext|>b")
    assert 0 in ids
    assert bpe.decode(ids) == "a<|endoftext|>b"
    assert bpe.decode(ids, special=False) == "ab"


def test_training_on_files(bpe, tmp_path):
    paths = [tmp_path / f"{i}.txt" for i in range(20)]
    for path in paths:
        path.write_text(POEM, "utf-8")
    special = ["<|endoftext|>", "<pad>"]
    again = BPETokenizer.train_from_files(paths, 320, special)
    assert again.encode(POEM).tolist() == bpe.encode(POEM).tolist()
    paths[3].write_bytes(b"\xff")
    with pytest.raises(
        DataError, match=r"^BPETokenizer.train_from_files: expected text in 3.txt, got"
    ):
        BPETokenizer.train_from_files(paths, 320)


def test_a_file_that_is_no_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(
        DataError,
        match=r"^BPETokenizer.load: expected a tokenizer in tokenizer.json, got a file "
        r"where .+",
    ):
        BPETokenizer.load(path)


def test_without_the_library():
    program = (
        "import sys, dezero.data as data\n"
        "assert 'tokenizers' not in sys.modules\n"
        "sys.modules['tokenizers'] = None\n"
        "try:\n"
        "    data.BPETokenizer.train(['a'], 300)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "BPETokenizer.train: expected the library 'tokenizers', which is not "
        "installed; write: pip install 'dezero[text]'\n"
    )


# ------------------------------------------------------------------------ stretches
def test_blocks_one_after_the_other():
    for count, blocks in ((9, 2), (8, 1), (5, 1), (12, 2), (13, 3)):
        data = TextDataset(np.arange(count, dtype=np.uint16), 4)
        assert len(data) == blocks == len(list(data))
        for i, (x, t) in enumerate(data):
            assert x.tolist() == list(range(4 * i, 4 * i + 4))
            assert t.tolist() == [n + 1 for n in x]
            assert x.dtype == t.dtype == np.int64
    assert data[-1][0].tolist() == [8, 9, 10, 11]


def test_every_window():
    data = TextDataset(np.arange(10), 3, stride=1)
    assert [x[0] for x, _ in data] == list(range(7))
    assert data[6][1].tolist() == [7, 8, 9]
    loader = DataLoader(data, 4, seed=0)
    assert sorted(x[0] for xs, _ in loader for x in xs) == list(range(7))


def test_random_windows_follow_from_the_seed():
    data = TextDataset(np.arange(20), 3, random=600)
    loader = DataLoader(data, 200, seed=1)
    first, second = ([x[:, 0].tolist() for x, _ in loader] for _ in range(2))
    assert first != second
    assert set(np.ravel(first)) == set(range(17))
    threads = DataLoader(data, 200, seed=1, workers=2)
    assert [x[:, 0].tolist() for x, _ in threads] == first
    np.random.seed(0)
    x, t = data[0]
    assert x[0] == int(np.random.RandomState(0).rand() * 17)
    assert (t == x + 1).all()


def test_arrays_in_files_stay_there(tmp_path):
    path = tmp_path / "ids.npy"
    np.save(path, np.arange(50_000, dtype=np.uint16))
    data = TextDataset(np.load(path, mmap_mode="r"), 7)
    packed = pickle.dumps(data)
    assert len(packed) < 1000
    copied = pickle.loads(packed)
    assert isinstance(copied.ids, np.memmap)
    for i in (0, 5, len(data) - 1):
        np.testing.assert_array_equal(copied[i], data[i])
    part = TextDataset(data.ids[100:200], 7)  # which has no file of its own
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part))[0], part[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: CharTokenizer(""),
            ValueError,
            "CharTokenizer: expected a text, got an empty one",
        ),
        (
            lambda: CharTokenizer("ab").encode("abba!c"),
            ValueError,
            "CharTokenizer.encode: expected characters of the vocabulary, got '!' at 4",
        ),
        (
            lambda: CharTokenizer("ab").decode([0, 2]),
            ValueError,
            "CharTokenizer.decode: expected numbers from 0 to 1, got numbers from 0 "
            "to 2",
        ),
        (
            lambda: CharTokenizer("ab").decode([[0]]),
            ValueError,
            "CharTokenizer.decode: expected integers (N,), got int64 of shape (1, 1)",
        ),
        (
            lambda: TextDataset([0.5, 1.5], 1),
            TypeError,
            "TextDataset: expected ids (N,) of integers, got float64 of shape (2,)",
        ),
        (
            lambda: TextDataset([1, 2], 2),
            ValueError,
            "TextDataset: expected more than 2 ids, the length of a stretch, got 2",
        ),
        (
            lambda: TextDataset([1, 2], 1, stride=0),
            ValueError,
            "TextDataset: expected stride of at least 1, got 0",
        ),
        (
            lambda: TextDataset([1, 2], 1, stride=1, random=3),
            ValueError,
            "TextDataset: expected stride or random, got both, 1 and 3",
        ),
        (
            lambda: TextDataset([1, 2], 1)[1],
            IndexError,
            "TextDataset: expected an index from -1 to 0, got 1",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_errors_of_pairs(bpe):
    for call, error, message in (
        (
            lambda: BPETokenizer.train("text", 300),
            TypeError,
            "BPETokenizer.train: expected several texts, got a str; write [text]",
        ),
        (
            lambda: BPETokenizer.train_from_files("text", 300),
            TypeError,
            "BPETokenizer.train_from_files: expected several paths, got a str; write "
            "[path]",
        ),
        (
            lambda: BPETokenizer.train(["text"], 256),
            ValueError,
            "BPETokenizer.train: expected a size of at least 257, one for each byte "
            "and special token, got 256",
        ),
        (
            lambda: bpe.id_of("<mask>"),
            ValueError,
            "BPETokenizer.id_of: expected a token of the vocabulary, got '<mask>'",
        ),
        (
            lambda: bpe.decode([len(bpe)]),
            ValueError,
            f"BPETokenizer.decode: expected numbers from 0 to {len(bpe) - 1}, got "
            f"numbers from {len(bpe)} to {len(bpe)}",
        ),
    ):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            call()


def test_names():
    assert dezero.datasets.TextDataset is TextDataset
