"""GPT, BERT and ViT against plain NumPy, by the names of their published weights."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import optimizers
from dezero.errors import DataError
from dezero.models import BERT, GPT, ViT, mean_pooling

Arrays = dict[str, np.ndarray]


def random_arrays(shapes: dict[str, tuple[int, ...]]) -> Arrays:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape) * 0.3 for name, shape in shapes.items()}


def in_float64(model: Any) -> Any:
    for p in model.params():
        p.data = p.data.astype(np.float64)
    return model


# -- the same, written from the papers ------------------------------------------------


def normalized(x: np.ndarray, p: Arrays, name: str, eps: float) -> np.ndarray:
    mean = x.sum(-1, keepdims=True) / x.shape[-1]
    var = ((x - mean) ** 2).sum(-1, keepdims=True) / x.shape[-1]
    return (x - mean) / np.sqrt(var + eps) * p[f"{name}.weight"] + p[f"{name}.bias"]


def looked(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, seen: Any
) -> np.ndarray:
    """(N, T, C) each; ``seen`` (N, T, T) or what broadcasts to it."""
    q, k, v = (x.reshape(*x.shape[:2], heads, -1) for x in (q, k, v))
    weights = np.exp(np.einsum("nthd,nshd->nhts", q, k) / math.sqrt(q.shape[-1]))
    weights = weights * np.asarray(seen)[:, None]
    weights /= weights.sum(axis=-1, keepdims=True)
    y = np.einsum("nhts,nshd->nthd", weights, v)
    return y.reshape(*y.shape[:2], -1)


def exact_gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


# -- GPT ------------------------------------------------------------------------------


def gpt_shapes(V: int, T: int, C: int, depth: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (V, C), "wpe.weight": (T, C)}
    for i in range(depth):
        for name, shape in {
            "ln_1": (C,), "attn.c_attn": (C, 3 * C), "attn.c_proj": (C, C),
            "ln_2": (C,), "mlp.c_fc": (C, 4 * C), "mlp.c_proj": (4 * C, C),
        }.items():  # fmt: skip
            shapes[f"h.{i}.{name}.weight"] = shape
            shapes[f"h.{i}.{name}.bias"] = shape[-1:]
    return {**shapes, "ln_f.weight": (C,), "ln_f.bias": (C,)}


def plain_gpt(p: Arrays, ids: np.ndarray, heads: int, depth: int) -> np.ndarray:
    def affine(x: np.ndarray, name: str) -> np.ndarray:
        return np.einsum("nti,io->nto", x, p[f"{name}.weight"]) + p[f"{name}.bias"]

    T = ids.shape[1]
    past = np.arange(T) <= np.arange(T)[:, None]
    x = p["wte.weight"][ids] + p["wpe.weight"][:T]
    for i in range(depth):
        a = affine(normalized(x, p, f"h.{i}.ln_1", 1e-5), f"h.{i}.attn.c_attn")
        x = x + affine(
            looked(*np.split(a, 3, axis=-1), heads, past[None]), f"h.{i}.attn.c_proj"
        )
        h = affine(normalized(x, p, f"h.{i}.ln_2", 1e-5), f"h.{i}.mlp.c_fc")
        h = 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
        x = x + affine(h, f"h.{i}.mlp.c_proj")
    x = normalized(x, p, "ln_f", 1e-5)
    return np.einsum("ntc,vc->ntv", x, p.get("lm_head.weight", p["wte.weight"]))


def small_gpt(**kwargs: Any) -> GPT:
    return in_float64(GPT(11, length=7, width=8, heads=2, depth=2, **kwargs))


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_gpt_is_that_of_the_paper(prefix: str) -> None:
    arrays = random_arrays(gpt_shapes(11, 7, 8, 2))
    model = small_gpt()
    model.load_published({prefix + name: x for name, x in arrays.items()})
    ids = np.random.default_rng(1).integers(0, 11, (3, 6))
    y = model(ids)
    np.testing.assert_allclose(y.data, plain_gpt(arrays, ids, 2, 2), rtol=1e-11)


def test_gpt_with_a_head_of_its_own() -> None:
    arrays = random_arrays({**gpt_shapes(11, 7, 8, 2), "lm_head.weight": (11, 8)})
    model = small_gpt(tie=False)
    model.load_published(arrays)
    ids = np.arange(7)[None]
    np.testing.assert_allclose(
        model(ids).data, plain_gpt(arrays, ids, 2, 2), rtol=1e-11
    )
    assert len(list(model.params())) == len(list(small_gpt().params())) + 1


def test_gpt_of_the_size_of_its_arrays() -> None:
    arrays = random_arrays(gpt_shapes(11, 7, 8, 2))
    arrays["h.0.attn.bias"] = np.ones((1, 1, 7, 7))  # the mask, in some files
    arrays["h.0.attn.masked_bias"] = np.array(-1e4)
    arrays["lm_head.weight"] = arrays["wte.weight"]
    model = GPT.from_published(
        {name: x.astype(np.float32) for name, x in arrays.items()}, heads=2
    )
    assert model.head is None and model.tokens.W.dtype == np.float32
    ids = np.arange(7)[None]
    wanted = plain_gpt(arrays, ids, 2, 2)
    np.testing.assert_allclose(model(ids).data, wanted, rtol=1e-3, atol=1e-4)
    arrays["lm_head.weight"] = arrays["lm_head.weight"] * 2
    assert GPT.from_published(arrays, heads=2).head is not None
    wide = random_arrays(gpt_shapes(5, 3, 128, 1))
    assert GPT.from_published(wide).blocks[0].attention.heads == 2


def test_arrays_that_do_not_fit_change_nothing() -> None:
    arrays = random_arrays(gpt_shapes(11, 7, 8, 2))
    del arrays["h.1.ln_2.bias"]
    arrays["h.2.ln_1.bias"] = np.ones(8)
    arrays["wpe.weight"] = np.ones((7, 9))
    arrays["ln_f.bias"] = np.array(["a"] * 8)
    model = small_gpt()
    before = {name: p.data.copy() for name, p in model.named_params().items()}
    with pytest.raises(DataError) as caught:
        model.load_published(arrays)
    assert str(caught.value) == (
        "load_published: expected the weights of a GPT, got other arrays; nothing was "
        "loaded:\n"
        "  wpe.weight: expected shape (7, 8), got shape (7, 9)\n"
        "  ln_f.bias: expected shape (8,), got shape (8,) of <U1\n"
        "  h.2.ln_1.bias: expected no such array, got one; did you mean "
        "'h.1.ln_2.bias'?\n"
        "  h.1.ln_2.bias: expected shape (8,), got no array"
    )
    for name, p in model.named_params().items():
        np.testing.assert_array_equal(p.data, before[name])


def test_a_head_that_is_not_tied() -> None:
    arrays = random_arrays({**gpt_shapes(11, 7, 8, 2), "lm_head.weight": (11, 8)})
    message = (
        "load_published: expected lm_head.weight to have the numbers of wte.weight, "
        "with which it is tied, got others; write GPT(..., tie=False)"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        small_gpt().load_published(arrays)


def test_what_is_no_gpt() -> None:
    message = "from_published: expected an array 'wte.weight', got none"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        GPT.from_published({"x": np.ones(3)})
    message = "from_published: expected an array 'wte.weight' of 2 axes, got shape (3,)"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        GPT.from_published({"wte.weight": np.ones(3)})


def test_gpt_begins_small() -> None:
    np.random.seed(0)
    model = GPT(50, length=20, width=64, heads=4, depth=8)
    for name, p in model.named_params().items():
        if not name.endswith("/W"):
            assert set(np.unique(p.data)) in ({0.0}, {1.0})
            continue
        added = name.endswith(("project/W", "narrow/W"))
        np.testing.assert_allclose(p.data.std(), 0.02 / 4 if added else 0.02, rtol=0.05)
    ids = np.random.randint(0, 50, (4, 20))
    t = np.random.randint(0, 50, 80)
    loss = F.softmax_cross_entropy(F.reshape(model(ids), (-1, 50)), t)
    assert abs(loss.item() - math.log(50)) < 0.2  # it knows nothing yet


def test_gpt_trains_compiled_as_eager() -> None:
    ids = np.random.default_rng(0).integers(0, 11, (4, 8))

    def make() -> Any:
        np.random.seed(0)
        model = GPT(11, length=7, width=8, heads=2, depth=2)
        optimizer = optimizers.Adam(0.01).setup(model)

        def step(x: Any, t: Any) -> Any:
            y = F.reshape(model(x), (-1, 11))
            loss = F.softmax_cross_entropy(y, t.reshape(-1))
            model.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        return model, step

    (here, eager), (there, step) = make(), make()
    compiled = dezero.compile(step)
    losses = []
    for _ in range(4):
        losses.append(eager(ids[:, :-1], ids[:, 1:]).item())
        found = compiled(ids[:, :-1], ids[:, 1:]).item()
        np.testing.assert_allclose(found, losses[-1], rtol=1e-5)
    assert losses[-1] < losses[0]
    for p, q in zip(here.params(), there.params(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-3, atol=1e-5)


def test_gpt_drops_out_in_training_alone() -> None:
    model = small_gpt(dropout_ratio=0.5)
    ids = np.arange(7)[None]
    assert not np.array_equal(model(ids).data, model(ids).data)
    with dezero.test_mode():
        np.testing.assert_array_equal(model(ids).data, model(ids).data)


# -- writing on -----------------------------------------------------------------------


def trained_gpt() -> GPT:
    """One whose scores differ enough to be told apart."""
    model = small_gpt()
    model.load_published(random_arrays(gpt_shapes(11, 7, 8, 2)))
    return model


def test_generate_takes_the_best_as_without_a_cache() -> None:
    model, text = trained_gpt(), np.array([[1, 2], [3, 4]])
    found = model.generate(text, 5, temperature=0)
    for _ in range(5):
        best = model(text).data[:, -1].argmax(axis=-1)
        text = np.concatenate([text, best[:, None]], axis=1)
    np.testing.assert_array_equal(found, text)
    assert found.dtype == text.dtype
    np.testing.assert_array_equal(model.generate(text, 0), text)


def test_generate_draws_by_the_scores() -> None:
    model, start = trained_gpt(), np.array([[1, 2]])
    scores = model(start).data[0, -1] / 0.7
    wanted = np.exp(scores) / np.exp(scores).sum()
    np.random.seed(0)
    drawn = model.generate(np.repeat(start, 20000, axis=0), 1, 0.7)[:, -1]
    shares = np.bincount(drawn, minlength=11) / 20000
    np.testing.assert_allclose(shares, wanted, atol=0.015)
    best = np.argsort(scores)[-3:]
    drawn = model.generate(np.repeat(start, 500, axis=0), 1, top_k=3)[:, -1]
    assert set(drawn) == set(best)
    np.random.seed(0)
    once = model.generate(start, 5)
    np.random.seed(0)
    np.testing.assert_array_equal(model.generate(start, 5), once)


def test_generate_forgets_what_is_too_long_ago() -> None:
    model = trained_gpt()
    text = model.generate(np.array([[1]]), 20, temperature=0)
    assert text.shape == (1, 21)
    # The eighth token is out of its reach: it begins anew with the last three.
    best = model(text[:, 5:8]).data[0, -1].argmax()
    assert text[0, 8] == best
    long = np.arange(10)[None]
    found = model.generate(long, 1, temperature=0)
    assert found[0, -1] == model(long[:, -3:]).data[0, -1].argmax()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"ids": np.array([1]), "count": 1},
            "expected ids of shape (N, T) with at least one token, got (1,)",
        ),
        (
            {"ids": np.zeros((2, 0), int), "count": 1},
            "expected ids of shape (N, T) with at least one token, got (2, 0)",
        ),
        (
            {"ids": np.array([[1]]), "count": -1},
            "expected count of 0 or more, got -1",
        ),
        (
            {"ids": np.array([[1]]), "count": 1, "temperature": -0.5},
            "expected temperature of 0 or more, got -0.5",
        ),
        (
            {"ids": np.array([[1]]), "count": 1, "top_k": 0},
            "expected top_k of 1 or more, got 0",
        ),
    ],
)
def test_generate_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape('generate: ' + message)}$"):
        small_gpt().generate(**arguments)


def test_gpt_refuses() -> None:
    message = "GPT: expected ids of shape (N, T), got (3,)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small_gpt()(np.arange(3))
    message = "PositionEmbedding: expected at most 7 tokens, got 8"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small_gpt()(np.arange(8)[None])


# -- BERT -----------------------------------------------------------------------------


def bert_shapes(V: int, T: int, C: int, H: int, depth: int) -> Any:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (V, C),
        "embeddings.position_embeddings.weight": (T, C),
        "embeddings.token_type_embeddings.weight": (2, C),
        "embeddings.LayerNorm.weight": (C,),
        "embeddings.LayerNorm.bias": (C,),
        "pooler.dense.weight": (C, C),
        "pooler.dense.bias": (C,),
    }
    for i in range(depth):
        for name, shape in {
            "attention.self.query": (C, C), "attention.self.key": (C, C),
            "attention.self.value": (C, C), "attention.output.dense": (C, C),
            "attention.output.LayerNorm": (C,), "intermediate.dense": (H, C),
            "output.dense": (C, H), "output.LayerNorm": (C,),
        }.items():  # fmt: skip
            shapes[f"encoder.layer.{i}.{name}.weight"] = shape
            shapes[f"encoder.layer.{i}.{name}.bias"] = shape[:1]
    return shapes


def plain_bert(
    p: Arrays, ids: Any, mask: Any, kinds: Any, heads: int, depth: int
) -> Any:
    def affine(x: np.ndarray, name: str) -> np.ndarray:
        return np.einsum("nti,oi->nto", x, p[f"{name}.weight"]) + p[f"{name}.bias"]

    x = (
        p["embeddings.word_embeddings.weight"][ids]
        + p["embeddings.position_embeddings.weight"][: ids.shape[1]]
        + p["embeddings.token_type_embeddings.weight"][kinds]
    )
    x = normalized(x, p, "embeddings.LayerNorm", 1e-12)
    for i in range(depth):
        name = f"encoder.layer.{i}"
        q, k, v = (
            affine(x, f"{name}.attention.self.{one}")
            for one in ("query", "key", "value")
        )
        y = looked(q, k, v, heads, np.asarray(mask)[:, None, :])
        y = affine(y, f"{name}.attention.output.dense")
        x = normalized(x + y, p, f"{name}.attention.output.LayerNorm", 1e-12)
        h = exact_gelu(affine(x, f"{name}.intermediate.dense"))
        h = affine(h, f"{name}.output.dense")
        x = normalized(x + h, p, f"{name}.output.LayerNorm", 1e-12)
    return x


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_bert_is_that_of_the_paper(prefix: str) -> None:
    arrays = random_arrays(bert_shapes(11, 7, 8, 12, 2))
    model = in_float64(BERT(11, length=7, width=8, heads=2, depth=2, hidden=12))
    published = {prefix + name: x for name, x in arrays.items()}
    published[prefix + "embeddings.position_ids"] = np.arange(7)[None]
    published["cls.predictions.bias"] = np.ones(11)
    model.load_published(published)
    rng = np.random.default_rng(1)
    ids, kinds = rng.integers(0, 11, (2, 5)), rng.integers(0, 2, (2, 5))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    wanted = plain_bert(arrays, ids, mask, kinds, 2, 2)
    y = model(ids, mask=mask, kinds=kinds)
    np.testing.assert_allclose(y.data, wanted, rtol=1e-10, atol=1e-12)
    pooled = np.tanh(
        wanted[:, 0] @ arrays["pooler.dense.weight"].T + arrays["pooler.dense.bias"]
    )
    np.testing.assert_allclose(model.pool(y).data, pooled, rtol=1e-10, atol=1e-12)
    means = [wanted[0].mean(axis=0), wanted[1, :3].mean(axis=0)]
    np.testing.assert_allclose(mean_pooling(y, mask).data, means, rtol=1e-10)
    plain = plain_bert(arrays, ids, np.ones((2, 5)), 0 * kinds, 2, 2)
    np.testing.assert_allclose(model(ids).data, plain, rtol=1e-10, atol=1e-12)


def test_bert_of_the_size_of_its_arrays() -> None:
    arrays = random_arrays(bert_shapes(11, 7, 8, 12, 3))
    for name in ("pooler.dense.weight", "pooler.dense.bias"):
        del arrays[name]
    older = {}
    for name, x in arrays.items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        older[name.replace("LayerNorm.bias", "LayerNorm.beta")] = x
    assert len(older.keys() - arrays.keys()) == 2 + 4 * 3
    model = BERT.from_published(older, heads=4)
    ids = np.arange(7)[None]
    wanted = plain_bert(arrays, ids, np.ones((1, 7)), 0 * ids, 4, 3)
    np.testing.assert_allclose(model(ids).data, wanted, rtol=1e-3, atol=1e-4)
    message = (
        "pool: expected a BERT with a pooler, got one with pooler=False; write "
        "mean_pooling(tokens, mask)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        model.pool(model(ids))
    arrays["encoder.layer.1.attention.self.key.weight"] = np.ones((8, 7))
    with pytest.raises(DataError) as caught:
        model.load_published(arrays)
    assert str(caught.value) == (
        "load_published: expected the weights of a BERT, got other arrays; nothing was "
        "loaded:\n  encoder.layer.1.attention.self.key.weight: expected shape (8, 8), "
        "got shape (8, 7)"
    )


def test_bert_trains_compiled_as_eager() -> None:
    ids = np.random.default_rng(0).integers(1, 11, (3, 5))
    mask = np.array([[1] * 5, [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]])

    def make() -> Any:
        np.random.seed(0)
        model = BERT(11, length=7, width=8, heads=2, depth=1)
        optimizer = optimizers.SGD(0.1).setup(model)

        def step(ids: Any, mask: Any) -> Any:
            loss = F.mean(mean_pooling(model(ids, mask=mask), mask) ** 3)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        return step

    eager, compiled = make(), dezero.compile(make())
    for _ in range(3):
        np.testing.assert_allclose(
            compiled(ids, mask).data, eager(ids, mask).data, rtol=1e-4, atol=1e-7
        )


def test_bert_refuses() -> None:
    model = BERT(11, length=7, width=8, heads=2, depth=1)
    ids = np.ones((2, 5), int)
    for arguments, message in (
        ((ids[0],), "BERT: expected ids of shape (N, T), got (5,)"),
        (
            (ids, np.ones((2, 4))),
            "BERT: expected mask of shape (2, 5), as ids have, got (2, 4)",
        ),
        (
            (ids, None, ids[:1]),
            "BERT: expected kinds of shape (2, 5), as ids have, got (1, 5)",
        ),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            model(*arguments)
    message = (
        "mean_pooling: expected a mask of shape (2, 5) to match tokens (2, 5, 3), got "
        "(5,)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        mean_pooling(np.ones((2, 5, 3)), np.ones(5))


def test_mean_pooling_of_no_token() -> None:
    x = np.arange(6.0).reshape(1, 3, 2)
    np.testing.assert_array_equal(mean_pooling(x, [[0, 0, 0]]).data, [[0, 0]])
    np.testing.assert_array_equal(mean_pooling(x).data, [[2, 3]])


# -- ViT ------------------------------------------------------------------------------


def plain_vit(p: Arrays, x: np.ndarray, patch: int, heads: int, depth: int) -> Any:
    def affine(x: np.ndarray, name: str) -> np.ndarray:
        return np.einsum("...i,io->...o", x, p[f"{name}/W"]) + p[f"{name}/b"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        pair = {"weight": p[f"{name}/gamma"], "bias": p[f"{name}/beta"]}
        return normalized(x, {f".{k}": v for k, v in pair.items()}, "", 1e-6)

    N, C, H, W = x.shape
    cut = x.reshape(N, C, H // patch, patch, W // patch, patch)
    y = np.einsum("nchiwj,ocij->nhwo", cut, p["patches/W"]) + p["patches/b"]
    y = y.reshape(N, -1, y.shape[-1])
    first = np.broadcast_to(p["token"], (N, 1, y.shape[-1]))
    y = np.concatenate([first, y], axis=1) + p["positions/W"]
    for i in range(depth):
        name = f"blocks/{i}"
        a = affine(norm(y, f"{name}/norm1"), f"{name}/attention/qkv")
        a = looked(*np.split(a, 3, axis=-1), heads, np.ones((1, 1, 1)))
        y = y + affine(a, f"{name}/attention/project")
        h = exact_gelu(affine(norm(y, f"{name}/norm2"), f"{name}/widen"))
        y = y + affine(h, f"{name}/narrow")
    return affine(norm(y[:, 0], "norm"), "head")


def small_vit() -> ViT:
    return ViT(5, image_size=6, patch=2, width=8, heads=2, depth=2, channels=3)


def test_vit_is_that_of_the_paper() -> None:
    model = small_vit()
    rng = np.random.default_rng(0)
    for p in model.params():
        p.data = rng.normal(size=p.shape) * 0.3
    x = rng.normal(size=(2, 3, 6, 6))
    wanted = plain_vit(
        {name: p.data for name, p in model.named_params().items()}, x, 2, 2, 2
    )
    np.testing.assert_allclose(model(x).data, wanted, rtol=1e-11)


def test_vit_trains_compiled_as_eager() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(4, 3, 6, 6)).astype("f"), rng.integers(0, 5, 4)

    def make() -> Any:
        np.random.seed(0)
        model = small_vit()
        optimizer = optimizers.Adam(0.01).setup(model)

        def step(x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(model(x), t)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        return step

    eager, compiled = make(), dezero.compile(make())
    losses = []
    for _ in range(4):
        losses.append(eager(x, t).item())
        np.testing.assert_allclose(compiled(x, t).item(), losses[-1], rtol=1e-4)
    assert losses[-1] < losses[0]


def test_vit_refuses() -> None:
    message = (
        "ViT: expected an image_size that is a multiple of patch, got image_size 7 and "
        "patch 2"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ViT(5, image_size=7, patch=2, width=8, heads=2, depth=1)
    message = "ViT: expected images of shape (N, 3, 6, 6), got (2, 3, 6, 8)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small_vit()(np.ones((2, 3, 6, 8)))


def test_the_sizes_that_were_published() -> None:
    """Parameters of GPT-2 and BERT-Base by their shapes alone, and of ViT-Base."""

    def count(shapes: dict[str, tuple[int, ...]]) -> int:
        return sum(math.prod(shape) for shape in shapes.values())

    assert count(gpt_shapes(50257, 1024, 768, 12)) == 124_439_808
    assert count(bert_shapes(30522, 512, 768, 3072, 12)) == 109_482_240
    small = count(gpt_shapes(11, 7, 8, 2))
    assert sum(p.size for p in small_gpt().params()) == small
