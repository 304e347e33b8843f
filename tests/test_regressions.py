"""What went wrong in the first DeZero and is tested by no topic's own file."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Model, Variable, optimizers
from dezero.backend import find_cupy


def run(program: str, **environment: str) -> str:
    """What a program prints that runs by itself, warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.stdout


# The names of attributes used to be kept in a set, so that with them the order of
# parameters, initial weights and updates changed from run to run.
def test_seeded_training_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "import numpy as np, dezero, dezero.functions as F\n"
        "np.random.seed(0)\n"
        "model = dezero.models.MLP((5, 4, 3))\n"
        "x, t = np.random.rand(6, 2), np.arange(6) % 3\n"
        "optimizer = dezero.optimizers.Adam().setup(model)\n"
        "optimizer.add_hook(dezero.optimizers.ClipGrad(0.1))\n"
        "for _ in range(3):\n"
        "    model.cleargrads()\n"
        "    F.softmax_cross_entropy(model(x), t).backward()\n"
        "    optimizer.update()\n"
        "print(list(model.named_params()))\n"
        "print([p.data.tobytes().hex() for p in model.params()])\n"
    )
    first = run(program, PYTHONHASHSEED="1")
    assert run(program, PYTHONHASHSEED="2") == first
    assert "'l0/W', 'l0/b', 'l1/W', 'l1/b', 'l2/W', 'l2/b'" in first


# save_weights used to move the model to the CPU and leave it there.
def test_saving_leaves_the_parameters_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = L.Linear(3, in_size=2)
    arrays = [p.data for p in layer.params()]
    written = [p._written for p in layer.params()]
    monkeypatch.delattr(dezero.Layer, "to_cpu")
    monkeypatch.delattr(Variable, "to_cpu")
    layer.save_weights(tmp_path / "weights")
    assert all(p.data is x for p, x in zip(layer.params(), arrays, strict=True))
    assert [p._written for p in layer.params()] == written


@pytest.mark.skipif(find_cupy() is None, reason="needs CuPy and a GPU")
def test_saving_leaves_the_parameters_on_the_gpu(tmp_path: Path) -> None:
    layer = L.Linear(3, in_size=2)
    layer.to_gpu()
    layer.save_weights(tmp_path / "weights")
    layer.load_weights(tmp_path / "weights")
    assert all(isinstance(p.data, find_cupy().ndarray) for p in layer.params())


# The first setup.py imported the package that it was to build, and with it NumPy.
def test_the_version_is_read_without_an_import() -> None:
    tree = ast.parse((Path(dezero.__file__).parent / "version.py").read_text())
    (assignment,) = [node for node in tree.body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(assignment.value) == dezero.__version__
    assert not any(isinstance(n, (ast.Import, ast.ImportFrom)) for n in ast.walk(tree))


# The programs of the book append the folder above their own to the path.
def test_a_folder_of_this_name_later_on_the_path_is_not_imported(
    tmp_path: Path,
) -> None:
    (tmp_path / "dezero").mkdir()
    (tmp_path / "dezero" / "__init__.py").write_text("raise ImportError")
    program = f"import sys; sys.path.append({str(tmp_path)!r}); import dezero"
    assert run(program) == ""


# Programs change the list in place.
def test_hooks_are_a_list() -> None:
    model = dezero.models.MLP((3, 2))
    optimizer = optimizers.SGD(lr=1.0).setup(model)
    optimizer.hooks.append(optimizers.FreezeParam(model.l1))
    F.sum(model(np.ones((1, 2)))).backward()
    before = [p.data.copy() for p in model.params()]
    optimizer.update()
    moved = [
        not np.array_equal(p.data, x)
        for p, x in zip(model.params(), before, strict=True)
    ]
    assert moved == [True, True, False, False]


# A hook of one parameter wrote into the gradient of another, and into the data.
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_handed_through_by_a_model_are_apart(create_graph: bool) -> None:
    class Sums(Model):
        def __init__(self) -> None:
            super().__init__()
            self.a = dezero.Parameter(np.ones(3))
            self.b = dezero.Parameter(np.ones(3))
            self.c = dezero.Parameter(np.ones((3, 1)))

        def forward(self, x: Any) -> Variable:
            return (
                x
                + self.a
                + F.reshape(F.transpose(F.reshape(self.b, (1, 3))), 3)
                + (F.flatten(self.c)[:, 0])
            )

    model = Sums()
    model(np.zeros(3)).backward(create_graph=create_graph)
    for p in model.params():
        p.grad.data *= 10
    assert [p.grad.data.ravel().tolist() for p in model.params()] == [[10.0] * 3] * 3
    assert all((p.data == 1).all() for p in model.params())


# A gradient of zeros along all but random directions was passed as right.
def test_a_gradient_whose_sum_is_zero_is_checked() -> None:
    class Centered(dezero.Function):
        def forward(self, x: Any) -> Any:
            return x - x.mean()

        def backward(self, gy: Variable) -> Variable:
            return gy * 0

    x = Variable(np.random.rand(5).astype(np.float32))
    for _ in range(2):
        assert not dezero.utils.gradient_check(lambda x: Centered()(x), x)
        assert dezero.utils.gradient_check(lambda x: x - F.mean(x), x)
    assert x.dtype == np.float32


# Without knowing what needs a gradient, the derivative by the data was computed, too.
def test_no_time_goes_into_derivatives_by_data() -> None:
    asked = []

    class Product(dezero.Function):
        def forward(self, x: Any, W: Any) -> Any:
            return x * W

        def backward(self, gy: Variable) -> Any:
            x, W = self.inputs
            asked.append([v.requires_grad for v in (x, W)])
            return None, gy * x

    x, W = np.ones(3), dezero.Parameter(np.ones(3))
    h = F.sin(x)  # nothing to differentiate: not even recorded
    Product()(h, W).backward()
    assert asked == [[False, True]]
    assert h.creator is None and h.grad is None


# Long sums of rows of one matrix: a second derivative, and ids that repeat.
def test_embeddings_of_a_sequence() -> None:
    embed = L.EmbedID(5, 2)
    ids = np.array([[1, 1], [4, 1], [0, 4]])
    y = 0
    for row in ids:
        y = y + F.sum(embed(row) ** 3)
    y.backward(create_graph=True)
    gW = embed.W.grad
    counts = np.bincount(ids.ravel(), minlength=5)[:, None]
    np.testing.assert_allclose(gW.data, 3 * counts * embed.W.data**2, rtol=1e-6)
    embed.cleargrads()
    gW.backward()
    np.testing.assert_allclose(embed.W.grad.data, 6 * counts * embed.W.data, rtol=1e-6)


def test_data_of_no_axes_may_be_computed_and_rebound():
    # NumPy gives a scalar for `x.data - 1`, which a new Variable refuses.
    x = Variable(np.array(3.0))
    x.data = x.data - 1
    assert type(x.data) is np.ndarray
    assert x.data == 2
