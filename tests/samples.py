"""What to feed an operation: arrays of random shapes, and keyword arguments.

Letters stand for lengths: ``"ND, D"`` are two arrays of shapes (N, D) and (D,). Values
keep away from kinks and poles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import references as R

Fill = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Sample = tuple[list[np.ndarray], dict[str, Any]]  # arrays, keyword arguments
Samples = st.SearchStrategy[Sample]

# -- what stands in the arrays ------------------------------------------------------


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def zeros(_: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


def nonzero(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def probability(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.1, 0.9, shape)


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """No two closer than 0.1: a little step does not change which is the largest."""
    count = int(np.prod(shape))
    return (rng.permutation(count).reshape(shape) - count // 2) * 0.1


def between(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """In the middle of intervals: at least 0.2 from every multiple of 1."""
    return rng.integers(-3, 3, shape) + rng.uniform(0.2, 0.8, shape)


def labels(below: int) -> Fill:
    return lambda rng, shape: rng.integers(0, below, shape)


def binary(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2, shape)


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice([-1, 1], shape)


def negative(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return -positive(rng, shape)


def whole(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-3, 3, shape).astype(float)


def binary_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2, shape).astype(float)


def distinct_sizes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """No two absolute values closer than 0.1, nor to 0."""
    x = rng.permutation(np.arange(1.0, np.prod(shape) + 1)).reshape(shape)
    return x * rng.choice([-0.1, 0.1], shape)


def fill(draw: st.DrawFn, fills: Any, shapes: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [np.asarray(f(rng, s)) for f, s in zip(fills, shapes, strict=True)]


# -- in which shapes ----------------------------------------------------------------


@st.composite
def anywhere(draw: st.DrawFn, *fills: Fill, min_dims: int = 0, **kwargs: Any) -> Sample:
    """Arrays of one shape, of any number of axes up to 3."""
    shape = draw(hnp.array_shapes(min_dims=min_dims, max_dims=3, max_side=4))
    return fill(draw, fills, [shape] * len(fills)), kwargs


@st.composite
def broadcasting(draw: st.DrawFn, *fills: Fill) -> Sample:
    """Arrays whose shapes broadcast, each way."""
    drawn = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=len(fills), max_dims=3, max_side=4)
    )
    return fill(draw, fills, drawn.input_shapes), {}


@st.composite
def choosing(draw: st.DrawFn) -> Sample:
    """A condition and what to choose from; all broadcast."""
    (condition, *xs), kwargs = draw(broadcasting(binary, normal, normal))
    return [condition.astype(bool), *xs], kwargs


@st.composite
def apart(draw: st.DrawFn) -> Sample:
    """Two arrays that broadcast, whose elements are at least 0.1 from one another."""
    (x, step), kwargs = draw(broadcasting(distinct, nonzero))
    return [x, np.asarray(np.sign(step) * 0.05 + (step * 10).round() * 0.1)], kwargs


@st.composite
def shaped(draw: st.DrawFn, letters: str, *fills: Fill, **kwargs: Any) -> Sample:
    """Arrays by their letters, each a length from 1 to 4; normal if not said."""
    words = [word.strip() for word in letters.split(",")]
    names = sorted(set("".join(words)))
    lengths = {name: draw(st.integers(1, 4)) for name in names}
    shapes = [tuple(lengths[name] for name in word) for word in words]
    return fill(draw, fills or [normal] * len(words), shapes), kwargs


@st.composite
def reducing(draw: st.DrawFn, one: Fill = normal) -> Sample:
    """An array, with one axis, some or all to reduce, from either end."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    axes = hnp.valid_tuple_axes(len(shape), min_size=1)
    axis = draw(st.none() | axes | axes.map(lambda several: several[0]))
    return fill(draw, [one], [shape]), {"axis": axis, "keepdims": draw(st.booleans())}


@st.composite
def along(draw: st.DrawFn, one: Fill = normal, **kwargs: Any) -> Sample:
    """An array and one of its axes, from either end."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return fill(draw, [one], [shape]), {"axis": axis, **kwargs}


@st.composite
def halving(draw: st.DrawFn) -> Sample:
    """An array, and an axis of even length."""
    (x,), kwargs = draw(along())
    return [np.concatenate([x, x[::-1]], kwargs["axis"])], kwargs


@st.composite
def inserting(draw: st.DrawFn) -> Sample:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    return fill(draw, [normal], [shape]), {"axis": axis}


@st.composite
def transposing(draw: st.DrawFn) -> Sample:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, max_side=3))
    axes = draw(st.none() | st.permutations(range(len(shape))))
    return fill(draw, [normal], [shape]), {"axes": axes}


@st.composite
def reshaping(draw: st.DrawFn) -> Sample:
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    shape = list(draw(st.permutations(lengths)))
    shape[draw(st.integers(0, len(shape) - 1))] = -1
    return fill(draw, [normal], [tuple(lengths)]), {"shape": tuple(shape)}


@st.composite
def stretching(draw: st.DrawFn) -> Sample:
    """An array, and a larger shape to which it broadcasts."""
    small = draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    shape = draw(hnp.broadcastable_shapes(small, min_dims=len(small), max_dims=3))
    larger = np.broadcast_shapes(small, shape)
    return fill(draw, [normal], [small]), {"shape": larger}


@st.composite
def shrinking(draw: st.DrawFn) -> Sample:
    """An array, and a smaller shape that broadcasts to its own."""
    (x,), kwargs = draw(stretching())
    return fill(draw, [normal], [kwargs["shape"]]), {"shape": x.shape}


@st.composite
def joining(draw: st.DrawFn) -> Sample:
    """Arrays that differ in the length of one axis."""
    (x,), kwargs = draw(along())
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    axis = kwargs["axis"] % x.ndim
    shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in lengths]
    return fill(draw, [normal] * len(shapes), shapes), kwargs


@st.composite
def stacking(draw: st.DrawFn) -> Sample:
    """Arrays of one shape, and a place for a new axis."""
    (x,), kwargs = draw(inserting())
    count = draw(st.integers(1, 3))
    return fill(draw, [normal] * count, [x.shape] * count), kwargs


@st.composite
def splitting(draw: st.DrawFn) -> Sample:
    """An array, an axis, and where to cut it, or into how many parts."""
    (x,), kwargs = draw(along())
    length = x.shape[kwargs["axis"]]
    parts = st.sampled_from([n for n in range(1, length + 1) if length % n == 0])
    places = st.lists(st.integers(0, length), min_size=1, max_size=3).map(sorted)
    return [x], {"indices_or_sections": draw(parts | places), **kwargs}


@st.composite
def squeezing(draw: st.DrawFn) -> Sample:
    """An array with axes of length 1, and those of them to drop."""
    shape = draw(st.lists(st.sampled_from([1, 1, 2, 3]), max_size=4))
    ones = [i for i, n in enumerate(shape) if n == 1]
    axes = (
        st.lists(st.sampled_from(ones), unique=True).map(tuple) if ones else st.none()
    )
    return fill(draw, [normal], [tuple(shape)]), {"axis": draw(st.none() | axes)}


@st.composite
def moving(draw: st.DrawFn, *names: str) -> Sample:
    """An array, and some of its axes, from either end, by these names."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    axes = st.integers(-len(shape), len(shape) - 1)
    return fill(draw, [normal], [shape]), {name: draw(axes) for name in names}


@st.composite
def framing(draw: st.DrawFn, mode: str, **kwargs: Any) -> Sample:
    """An array, and how wide a frame at each of its sides."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    width = st.tuples(st.integers(0, 4), st.integers(0, 2))
    pad_width = [draw(width) for _ in shape]
    return fill(draw, [normal], [shape]), {
        "pad_width": pad_width,
        "mode": mode,
        **kwargs,
    }


@st.composite
def slicing(draw: st.DrawFn) -> Sample:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    slices = draw(hnp.basic_indices(shape, allow_newaxis=True))
    return fill(draw, [normal], [shape]), {"slices": slices}


@st.composite
def picking(draw: st.DrawFn) -> Sample:
    """An array and lists of places in it, which come twice or more often."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    indices = draw(
        hnp.integer_array_indices(
            shape, result_shape=hnp.array_shapes(max_dims=2, min_side=2, max_side=4)
        )
    )
    return fill(draw, [normal], [shape]), {"slices": indices}


@st.composite
def masking(draw: st.DrawFn) -> Sample:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=4))
    x, mask = fill(draw, [normal, binary], [shape, shape])
    return [x], {"slices": mask.astype(bool)}


@st.composite
def assigning(draw: st.DrawFn, indexing: Samples, number: bool = False) -> Sample:
    """An array, an index into it, and what to write there; lengths of 1 broadcast."""
    (x,), kwargs = draw(indexing)
    shape = x[kwargs["slices"]].shape
    stretched = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    shape = tuple(1 if one else n for n, one in zip(shape, stretched, strict=True))
    shape = () if number else shape[draw(st.integers(0, len(shape))) :]
    return [x, *fill(draw, [normal], [shape])], kwargs


@st.composite
def looking_up(draw: st.DrawFn) -> Sample:
    """Numbers of rows, with repeats, and the matrix they are of."""
    rows, features = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = draw(hnp.array_shapes(max_dims=2, min_side=2, max_side=4))
    return fill(draw, [labels(rows), normal], [shape, (rows, features)]), {}


@st.composite
def gathering(draw: st.DrawFn) -> Sample:
    """An array, and places along one axis of it, for as much of the others."""
    (x,), kwargs = draw(along())
    shape = [draw(st.integers(1, n)) for n in x.shape]
    axis = kwargs["axis"]
    shape[axis] = draw(st.integers(1, 4))
    n = x.shape[axis]
    (index,) = fill(draw, [lambda rng, s: rng.integers(-n, n, s)], [tuple(shape)])
    return [x], {"index": index, **kwargs}


@st.composite
def scattering(draw: st.DrawFn) -> Sample:
    """An array, places as for gather, and what to add there."""
    (x,), kwargs = draw(gathering())
    return [x, *fill(draw, [normal], [kwargs["index"].shape])], kwargs


@st.composite
def locating(draw: st.DrawFn) -> Sample:
    """An array, and places along one axis; the other axes broadcast."""
    (x,), kwargs = draw(along())
    axis = kwargs["axis"]
    shape = [draw(st.sampled_from([1, n])) for n in x.shape]
    shape[axis] = draw(st.integers(1, 4))
    n = x.shape[axis]
    (indices,) = fill(draw, [lambda rng, s: rng.integers(-n, n, s)], [tuple(shape)])
    return [x], {"indices": indices, **kwargs}


@st.composite
def spreading(draw: st.DrawFn) -> Sample:
    """An array whose elements differ along the axes to reduce."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=3))
    axis = draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    kwargs = {"axis": axis, "ddof": draw(st.integers(0, 1))}
    return fill(draw, [distinct], [shape]), kwargs


@st.composite
def spanning(draw: st.DrawFn, diagonal: str, *axes: str) -> Sample:
    """An array, two different axes of it, and the number of a diagonal."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=4))
    order = draw(st.permutations(range(-len(shape), 0)))
    kwargs = dict(zip(axes, order, strict=False))
    return fill(draw, [normal], [shape]), {diagonal: draw(st.integers(-4, 4)), **kwargs}


EINSUMS = [
    *("->", "i->", "ij->ji", "ii", "ii->i", "iij->ji", "...i->...", "i,->i", ",i->i"),
    *("i,i", "i,j->ij", "i,j->", "ij,j", "ij,jk", "ij,jk->ki", "bij,bjk->bik", "ba,c"),
    *("bhqd,bhkd->bhqk", "ij,ij->ij", "ij,kl->ljki", "ijk,k->", "...ij,...jk->...ik"),
    *("...i,i...->...", "i...,...->...i", "b...,b...->...", "...,...", "i,i,i->i"),
    *("ij,jk,kl->il", "a,ab,abc->cba", "ij,ji,j", "iij,jkk->ki"),
]


@st.composite
def summing(draw: st.DrawFn) -> Sample:
    """Subscripts, and operands for them, some axes of which have length 1."""
    subscripts = draw(st.sampled_from(EINSUMS))
    lengths = {letter: draw(st.integers(1, 3)) for letter in "abcdhijklqXYZ"}
    shapes = []
    for word in subscripts.partition("->")[0].split(","):
        letters = word.replace("...", "XYZ"[draw(st.integers(1, 3)) :])
        single = draw(st.sampled_from(["", *letters])) if len(set(letters)) > 2 else ""
        shapes.append(tuple(1 if one == single else lengths[one] for one in letters))
    return fill(draw, [normal] * len(shapes), shapes), {"subscripts": subscripts}


def invertible(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Matrices with singular values 1, 2, 3 ...: far from singular, and distinct."""
    M, N = shape[-2:]
    U, _, Vh = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    return U * np.arange(1.0, min(M, N) + 1) @ Vh


@st.composite
def inverting(draw: st.DrawFn) -> Sample:
    """A square matrix that can be inverted, or a stack of them."""
    n, stack = draw(st.integers(1, 3)), draw(hnp.array_shapes(min_dims=0, max_dims=1))
    return fill(draw, [invertible], [(*stack, n, n)]), {}


@st.composite
def singular(draw: st.DrawFn) -> Sample:
    """A matrix of any form with distinct singular values, or a stack of them."""
    stack = draw(hnp.array_shapes(min_dims=0, max_dims=1, max_side=2))
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return fill(draw, [invertible], [(*stack, *shape)]), {}


@st.composite
def solving(draw: st.DrawFn, vector: bool = False) -> Sample:
    """A matrix or a stack of them, and right sides."""
    (A,), kwargs = draw(inverting())
    stack = draw(st.sampled_from([(), A.shape[:-2]]))
    shape = A.shape[-1:] if vector else (*stack, A.shape[-1], draw(st.integers(1, 3)))
    return [A, *fill(draw, [normal], [shape])], kwargs


@st.composite
def multiplying(draw: st.DrawFn) -> Sample:
    """Two vectors, matrices or stacks of them that ``@`` takes."""
    drawn = draw(
        hnp.mutually_broadcastable_shapes(
            signature=np.matmul.signature, max_dims=2, max_side=3
        )
    )
    return fill(draw, [normal, normal], drawn.input_shapes), {}


@st.composite
def remembering(draw: st.DrawFn, gated: bool = False) -> Sample:
    """What a step of an LSTM takes, or of a GRU."""
    N, D, H = (draw(st.integers(1, 2)) for _ in range(3))
    if gated:
        shapes = [(N, D), (N, H), (D, 3 * H), (H, 3 * H), (3 * H,), (3 * H,)]
    else:
        shapes = [(N, D), (N, H), (N, H), (D + H, 4 * H), (4 * H,)]
    return fill(draw, [normal] * len(shapes), shapes), {}


@st.composite
def attending(draw: st.DrawFn, mask: str = "none") -> Sample:
    """Queries, keys, values, and booleans or numbers as a mask."""
    T, S, D, E = (draw(st.integers(1, n)) for n in (5, 4, 2, 2))
    S += mask == "float"  # of one key, the weight is 1 whatever is added
    lead = draw(st.sampled_from([(), (2,), (2, 1)]))
    less = lead and draw(st.sampled_from([lead, (), (1,)]))  # which broadcast to it
    shapes = [(*lead, T, D), (*less, S, D), (*lead, S, E)]
    fills: list[Fill] = [normal] * 3
    if mask != "none":
        fills.append(normal if mask == "float" else binary)
        shapes.append(draw(st.sampled_from([(T, S), (1, S), (S,), (*lead, 1, S)])))
    arrays = fill(draw, fills, shapes)
    if mask == "bool":
        arrays[3] = arrays[3].astype(bool)
    return arrays, {"causal": draw(st.booleans()), "scale": 0.7}


@st.composite
def looking(draw: st.DrawFn) -> Sample:
    return [], {"length": draw(st.integers(1, 4)), "keys": draw(st.integers(1, 4))}


@st.composite
def turning(draw: st.DrawFn) -> Sample:
    """x (..., T, D) with D even, and the position of the first or of each."""
    T, half = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    shape = (*draw(st.sampled_from([(), (2,), (2, 1)])), T, 2 * half)
    (x,) = fill(draw, [normal], [shape])
    positions = draw(st.sampled_from([0, 3, np.arange(T)[::-1].copy()]))
    return [x], {"positions": positions, "base": draw(st.sampled_from([100.0, 1e4]))}


@st.composite
def images(draw: st.DrawFn, one: Fill = normal, pad: int = 2) -> Sample:
    """Images, and windows that fit into them; the border is below ``pad`` wide."""
    kernel_size, stride, pads = (
        (draw(st.integers(low, high)), draw(st.integers(low, high)))
        for low, high in ((1, 3), (1, 3), (0, pad))
    )
    pads = tuple(min(p, k - 1) for p, k in zip(pads, kernel_size, strict=True))
    size = (
        draw(st.integers(max(1, k - 2 * p), 5))
        for k, p in zip(kernel_size, pads, strict=True)
    )
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size)
    kwargs = {"kernel_size": kernel_size, "stride": stride, "pad": pads}
    return fill(draw, [one], [shape]), kwargs


@st.composite
def convolving(draw: st.DrawFn, transposed: bool = False, bias: bool = True) -> Sample:
    """x, W and b of a convolution, or of its transpose."""
    (x,), kwargs = draw(images())
    kernel_size, stride, pad = kwargs.pop("kernel_size"), *kwargs.values()
    channels, out = x.shape[1], draw(st.integers(1, 2))
    W_shape = (channels, out) if transposed else (out, channels)
    if transposed:
        least = [
            s * (n - 1) + k - 2 * p
            for n, k, s, p in zip(x.shape[2:], kernel_size, stride, pad, strict=True)
        ]
        hypothesis.assume(min(least) > 0)
        if draw(st.booleans()):  # one of the sizes that conv2d takes back to x
            kwargs["outsize"] = tuple(
                n + draw(st.integers(0, s - 1))
                for n, s in zip(least, stride, strict=True)
            )
    shapes = [x.shape, (*W_shape, *kernel_size), (out,)][: 3 if bias else 2]
    return fill(draw, [normal] * len(shapes), shapes), kwargs


@st.composite
def convolving_sequences(draw: st.DrawFn, bias: bool = True) -> Sample:
    """x, W and b of a convolution of sequences."""
    N, C, out, K, stride = (draw(st.integers(1, n)) for n in (2, 2, 2, 3, 3))
    pad = draw(st.integers(0, K - 1))
    length = draw(st.integers(max(1, K - 2 * pad), 5))
    shapes = [(N, C, length), (out, C, K), (out,)][: 3 if bias else 2]
    return fill(draw, [normal] * len(shapes), shapes), {"stride": stride, "pad": pad}


@st.composite
def unfolding(draw: st.DrawFn, back: bool = False) -> Sample:
    """What ``im2col`` takes, or ``col2im``."""
    (x,), kwargs = draw(images())
    kwargs["to_matrix"] = draw(st.booleans())
    if not back:
        return [x], kwargs
    kwargs["input_shape"] = x.shape
    shape = R.unfold(x, **{k: v for k, v in kwargs.items() if k != "input_shape"}).shape
    return fill(draw, [normal], [shape]), kwargs


@st.composite
def classifying(draw: st.DrawFn, ignored: int | None = None, **kwargs: Any) -> Sample:
    """Scores (N, C, ...) and labels (N, ...), some of which may not count."""
    N, C, *rest = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=4))
    x, t = fill(draw, [normal, labels(C)], [(N, C, *rest), (N, *rest)])
    if ignored is not None:
        t.reshape(-1)[2::3] = ignored
        kwargs["ignore_index"] = ignored
    return [x, t], kwargs


@st.composite
def normalizing(draw: st.DrawFn) -> Sample:
    """x (N, C, ...), gamma and beta (C,)."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=3))
    channels = (shape[1],)
    return fill(draw, [normal] * 3, [shape, channels, channels]), {"eps": 0.1}


@st.composite
def grouping(draw: st.DrawFn) -> Sample:
    """x (N, C, ...), gamma and beta (C,), and into how many groups C is cut."""
    groups, size = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    N, *places = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    shapes = [(N, groups * size, *places), *[(groups * size,)] * 2]
    return fill(draw, [normal] * 3, shapes), {"groups": groups, "eps": 0.1}


@st.composite
def aligning(draw: st.DrawFn, **kwargs: Any) -> Sample:
    """Log-probabilities (T, N, 3), labels, lengths for which there are alignments."""
    blank = kwargs.get("blank", 0)
    S, N = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    T = draw(st.integers(max(2 * S, 1), 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    log_p = np.log(R.softmax(rng.normal(size=(T, N, 3)), 2))
    t = rng.choice([c for c in range(3) if c != blank], (N, S))
    counts = rng.integers(0, S + 1, N)
    steps = rng.integers(np.maximum(2 * counts, 1), T + 1)
    return [log_p, t, steps, counts], kwargs
