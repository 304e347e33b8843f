"""What the engine refuses, in which words, and that it leaves nothing half-done."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Function, Parameter, Variable
from dezero.config import switches
from dezero.errors import GradientError


@contextlib.contextmanager
def refused(
    kind: type[Exception], message: str, *witnesses: Variable
) -> Iterator[None]:
    """Expect this error, and every gradient and switch to stay as it is."""

    def state() -> list[Any]:
        grads = [w.grad for w in witnesses]
        values = [None if g is None else np.array(g.data).tolist() for g in grads]
        return [switches.get(), [id(g) for g in grads], values]

    before = state()
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        yield
    assert state() == before


# -- data ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Variable, Parameter])
@pytest.mark.parametrize(
    ("data", "name", "advice"),
    [
        ([1.0, 2.0], "list", "np.array(x)"),
        ((1.0, 2.0), "tuple", "np.array(x)"),
        (1.0, "float", "np.array(x)"),
        (1, "int", "np.array(x)"),
        ("text", "str", "np.array(x)"),
        (np.float64(1.0), "float64", "np.array(x)"),
        (np.float32(1.0), "float32", "np.array(x)"),
        (Variable(np.array(1.0)), "Variable", "x.data"),
        (Parameter(np.array(1.0)), "Parameter", "x.data"),
    ],
)
def test_data_that_is_no_array(kind: Any, data: Any, name: str, advice: str) -> None:
    cls = kind.__name__
    message = (
        f"{cls}: expected an array (numpy or cupy ndarray) or None, got {name}; "
        f"write {cls}({advice})"
    )
    with refused(TypeError, message):
        kind(data)
    x = kind(np.array(5.0))
    if isinstance(data, np.generic):  # what NumPy makes of `x.data - 1` without axes
        x.data = data
        assert x.data == 1
        return
    with refused(TypeError, message, x):
        x.data = data
    assert x.data == 5


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_a_parameter_of_an_integer_type(dtype: str) -> None:
    message = (
        f"Parameter: expected a floating type, got {dtype}; "
        "write Parameter(x.astype(np.float32))"
    )
    with refused(TypeError, message):
        Parameter(np.ones(3, dtype))
    p = Parameter(np.ones(3))
    with refused(TypeError, message, p):
        p.data = np.ones(3, dtype)
    assert p.dtype == np.float64


def test_a_parameter_that_has_no_shape_yet() -> None:
    for wanted in ("shape", "ndim", "size", "dtype"):
        message = (
            f"parameter(None).{wanted}: expected data, got None; a layer's parameters "
            "get their shape at the first call: write model(x) first"
        )
        with refused(ValueError, message):
            getattr(Parameter(None), wanted)


# -- backward where there is none ---------------------------------------------------


def no_creator(who: str) -> str:
    return (
        f"backward: expected a Variable that a Function made, got {who} without a "
        "creator: a leaf, or made under no_grad() or from constants alone; compute it "
        "from Variables while recording is on"
    )


def test_backward_on_a_leaf() -> None:
    x = Variable(np.array(1.0))
    with refused(GradientError, no_creator("one"), x):
        x.backward()
    x.name = "x"
    x.grad = Variable(np.array(3.0))
    with refused(RuntimeError, no_creator("'x'"), x):
        x.backward(retain_grad=True, create_graph=True)


def test_backward_on_what_was_made_under_no_grad_or_from_constants() -> None:
    x = Variable(np.array(1.0))
    with dezero.no_grad():
        y = x * 2
    with refused(GradientError, no_creator("one"), x, y):
        y.backward()
    z = F.sin(np.ones(3))
    with refused(GradientError, no_creator("one"), z):
        z.backward()


# -- Functions that users write -----------------------------------------------------


def returning(backward: Callable[..., Any], outputs: int = 1) -> Function:
    """A Function of two inputs with this backward."""

    class Mine(Function):
        def forward(self, x0: Any, x1: Any) -> Any:
            return x0 + x1 if outputs == 1 else (x0 + x1,) * outputs

        def backward(self, *gys: Variable) -> Any:
            return backward(*gys)

    return Mine()


WITH_VARIABLES = (
    "compute with gy and functions of Variables, so that it can be differentiated"
)


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda gy: gy, "expected 2 gradients, one per input, got 1"),
        (lambda gy: (gy,), "expected 2 gradients, one per input, got 1"),
        (lambda gy: [gy] * 3, "expected 2 gradients, one per input, got 3"),
        (lambda gy: None, "expected 2 gradients, one per input, got 1"),
        (lambda gy: (), "expected 2 gradients, one per input, got 0"),
        (
            lambda gy: (gy, F.reshape(gy, (3, 1))),
            "expected a gradient of shape (3,), as the input has, got (3, 1)",
        ),
        (
            lambda gy: (gy, gy.sum()),
            "expected a gradient of shape (3,), as the input has, got ()",
        ),
        (
            lambda gy: (F.broadcast_to(gy, (2, 3)), gy),
            "expected a gradient of shape (3,), as the input has, got (2, 3)",
        ),
        (
            lambda gy: (gy, gy.data),
            f"expected Variables, got ndarray; {WITH_VARIABLES}",
        ),
        (lambda gy: (gy, 1.0), f"expected Variables, got float; {WITH_VARIABLES}"),
        (
            lambda gy: (gy, np.float64(1)),
            f"expected Variables, got float64; {WITH_VARIABLES}",
        ),
        (lambda gy: (gy, [gy]), f"expected Variables, got list; {WITH_VARIABLES}"),
        (
            lambda gy: (gy, None),
            "expected a gradient for the input of shape (3,) and floating type, got "
            "None; return zeros where it does not matter",
        ),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("retain_grad", [False, True])
def test_gradients_that_do_not_fit(
    backward: Any, message: str, create_graph: bool, retain_grad: bool
) -> None:
    x0, x1, x2 = (Variable(np.ones(3)) for _ in range(3))
    x0.grad = Variable(np.full(3, 7.0))
    h = x2 * 2
    y = returning(backward)(x0, x1) * h + x2 + x0
    y.grad = Variable(np.full(3, 5.0))
    with refused(GradientError, f"Mine.backward: {message}", x0, x1, x2, h, y):
        y.backward(retain_grad=retain_grad, create_graph=create_graph)


def test_none_is_a_gradient_for_integers_and_constants() -> None:
    x = Variable(np.ones(3))
    y = returning(lambda gy: (gy, None))(x, Variable(np.arange(3)))
    y.backward()
    y = returning(lambda gy: (gy, None))(x, np.ones(3))
    y.backward()
    assert x.grad.data.tolist() == [2.0] * 3


@pytest.mark.parametrize("result", [None, [1.0, 2.0], "text", Variable(np.ones(3))])
def test_a_forward_that_returns_no_array(result: Any) -> None:
    class Mine(Function):
        def forward(self, x: Any) -> Any:
            return result

    class Two(Mine):
        def forward(self, x: Any) -> Any:
            return x, result

    got = type(result).__name__
    message = f"forward: expected an array or a tuple of arrays, got {got}"
    x = Variable(np.ones(3))
    with refused(TypeError, f"Mine.{message}", x):
        Mine()(x)
    with refused(TypeError, f"Two.{message}", x):
        Two()(x)


def test_a_function_without_methods() -> None:
    with refused(NotImplementedError, "Function: expected a method forward"):
        Function()(np.ones(3))

    class Mine(Function):
        def forward(self, x: Any) -> Any:
            return x

    x = Variable(np.ones(3))
    y = Mine()(x)
    with refused(NotImplementedError, "Mine: expected a method backward", x, y):
        y.backward()


def test_a_users_own_error_comes_through_and_nothing_is_half_done() -> None:
    def fail(gy: Variable) -> Any:
        raise KeyError("mine")

    x0, x1 = Variable(np.ones(3)), Variable(np.ones(3))
    y = x0 * 2 + returning(fail)(x0 * 3, x1)
    for create_graph in (False, True):
        with refused(KeyError, "'mine'", x0, x1, y):
            y.backward(create_graph=create_graph)
    assert dezero.Config.enable_backprop


@pytest.mark.parametrize("function", [F.sin, F.exp, lambda x: -x])
def test_an_input_without_data(function: Callable[..., Any]) -> None:
    p = Parameter(None, name="W")
    name = type(function(Variable(np.ones(3))).creator).__name__
    message = (
        "expected data in its input {}, got None; a layer's parameters get their "
        "shape at the first call: write model(x) first"
    )
    with refused(ValueError, f"{name}: " + message.format("'W'"), p):
        function(p)
    with refused(ValueError, f"{name}: " + message.format("variable(None)")):
        function(Variable(None))


def test_a_forward_that_returns_a_named_tuple() -> None:
    class Eigen(Function):
        def forward(self, x: Any) -> Any:
            return np.linalg.eigh(x)

    values, vectors = Eigen()(np.eye(2))
    assert (values.shape, vectors.shape) == ((2,), (2, 2))


def test_an_argument_that_is_nothing() -> None:
    message = (
        "Variable: expected an array (numpy or cupy ndarray) or None, got str; "
        "write Variable(np.array(x))"
    )
    with refused(TypeError, message):
        F.sin("text")


@pytest.mark.parametrize(
    ("argument", "kind", "message"),
    [
        (None, TypeError, "expected an array or a number, got None"),
        (
            [[1.0, 2.0], [3.0]],
            ValueError,
            "expected a list of numbers or of lists of one length, got lists of "
            "several lengths",
        ),
        (
            [1.0, Variable(np.array(2.0))],
            TypeError,
            "expected a list of numbers, got one of Variables, whose graph would be "
            "lost; write F.concat(xs) to join them, sum(xs) to add them up",
        ),
    ],
)
def test_arguments_of_which_no_constant_can_be_made(
    argument: Any, kind: type[Exception], message: str
) -> None:
    x = Variable(np.ones(3))
    for call in (
        lambda: F.sum(argument),
        lambda: x + argument,
        lambda: F.sin(argument),
        lambda: F.matmul(x, argument),
        lambda: dezero.layers.Linear(3)(argument),
    ):
        with refused(kind, f"Variable: {message}", x):
            call()


# -- two arguments ------------------------------------------------------------------

# What each function of two arrays says of shapes that do not match, here x of shape
# (2, 3) and y of shape (4, 5).
BROADCAST = "expected shapes that broadcast, got (2, 3) and (4, 5)"
REVERSED = "expected shapes that broadcast, got (4, 5) and (2, 3)"
PRODUCT = "expected W with 3 rows to match x (2, 3), got W (4, 5)"
SQUARED = "expected x1 of shape (2, 3) as x0 has, got (4, 5)"
LABELS = "expected t of shape (2,) to match x (2, 3), got t (4, 5)"
BINARY = "expected t of shape (2, 3) as the predictions have, got (4, 5)"
LAST = (
    "expected gamma of the shape of the last axes of x, got x (2, 3) and gamma (4, 5)"
)
IMAGES = "expected x of shape (N, C, H, W), got x (2, 3)"
TWO = {
    "add": f"add: {BROADCAST}",
    "sub": f"sub: {BROADCAST}",
    "rsub": f"sub: {REVERSED}",
    "mul": f"mul: {BROADCAST}",
    "div": f"div: {BROADCAST}",
    "rdiv": f"div: {REVERSED}",
    "mod": f"mod: {BROADCAST}",
    "rmod": f"mod: {REVERSED}",
    "pow": f"pow: {BROADCAST}",
    "rpow": f"pow: {REVERSED}",
    "atan2": f"atan2: {BROADCAST}",
    "maximum": f"maximum: {BROADCAST}",
    "minimum": f"minimum: {BROADCAST}",
    "logical_and": f"logical_and: {BROADCAST}",
    "logical_or": f"logical_or: {BROADCAST}",
    "logical_xor": f"logical_xor: {BROADCAST}",
    "take_along_axis": "take_along_axis: expected an index with the axes of x (2, 3), "
    "that broadcasts but for axis 1, got (4, 5)",
    "solve": "solve: expected square matrices, got A (2, 3)",
    "matmul": f"matmul: {PRODUCT}",
    "linear": f"linear: {PRODUCT}",
    "linear_simple": f"matmul: {PRODUCT}",
    "mean_squared_error": f"mean_squared_error: {SQUARED}",
    "mean_squared_error_simple": f"mean_squared_error_simple: {SQUARED}",
    "softmax_cross_entropy": f"softmax_cross_entropy: {LABELS}",
    "softmax_cross_entropy_simple": f"softmax_cross_entropy_simple: {LABELS}",
    "cross_entropy": f"softmax_cross_entropy: {LABELS}",
    "nll_loss": f"nll_loss: {LABELS}",
    "mse_loss": f"mse_loss: {SQUARED}",
    "l1_loss": f"l1_loss: {SQUARED}",
    "huber_loss": f"huber_loss: {SQUARED}",
    "smooth_l1_loss": f"smooth_l1_loss: {SQUARED}",
    "cosine_similarity": f"cosine_similarity: {SQUARED}",
    "kl_div": "kl_div: expected p of shape (2, 3) as log_q has, got (4, 5)",
    "binary_cross_entropy_with_logits": f"binary_cross_entropy_with_logits: {BINARY}",
    "hinge_loss": f"hinge_loss: {BINARY}",
    "prelu": "prelu: expected W of shape (3,) or (1,) for x (2, 3), got W (4, 5)",
    "layer_norm": f"layer_norm: {LAST}",
    "rms_norm": f"rms_norm: {LAST}",
    "sigmoid_cross_entropy": f"sigmoid_cross_entropy: {BINARY}",
    "binary_cross_entropy": f"binary_cross_entropy: {BINARY}",
    "accuracy": "accuracy: expected y of shape (N, C, ...) and a label for each of N, "
    "got y (2, 3) and t (4, 5)",
    "conv1d": "conv1d: expected x of shape (N, C, L) and W of shape (O, C, K), got x "
    "(2, 3) and W (4, 5)",
    "conv2d": f"conv2d: {IMAGES}",
    "conv2d_simple": f"conv2d_simple: {IMAGES}",
    "deconv2d": f"deconv2d: {IMAGES}",
}
# Whose second argument is no array that has to fit by its shape.
OTHER = {"broadcast_to", "sum_to", "reshape", "expand_dims", "get_item", "clip"}
OTHER |= {"embed_id", "astype", "pooling", "pooling_simple", "average_pooling"}
OTHER |= {"im2col", "col2im", "im2col_array", "col2im_array"}
OTHER |= {"einsum", "outer", "split", "topk", "pad", "repeat", "roll", "tile"}
OTHER |= {"swapaxes", "moveaxis"}
# Which take more than two arrays, or arrays and more; their own tests look at every
# one of them.
MORE = {"batch_norm", "batch_nrom", "gru_cell", "lstm_cell"}
MORE |= {"group_norm", "instance_norm", "cosine_embedding_loss", "triplet_margin_loss"}
MORE |= {"ctc_loss", "scaled_dot_product_attention"}
MORE |= {"where", "set_item", "gather", "scatter_add"}


def test_every_function_of_two_arguments_is_here() -> None:
    def required(function: Any) -> int:
        parameters = inspect.signature(function).parameters.values()
        return sum(p.default is p.empty for p in parameters)

    several = {
        name
        for name in F.__all__
        if inspect.isfunction(f := getattr(F, name)) and required(f) >= 2
    }
    assert several == {*TWO, *OTHER, *MORE}


@pytest.mark.parametrize("name", TWO)
def test_shapes_of_two_arguments_that_do_not_match(name: str) -> None:
    x, y = Variable(np.ones((2, 3))), Variable(np.ones((4, 5), np.int64))
    with refused(ValueError, TWO[name], x, y):
        getattr(F, name)(x, y)
    with refused(ValueError, TWO[name], x, y):
        getattr(F, name)(x.data, y.data)


# -- seeds and gradients that users set ---------------------------------------------


@pytest.mark.parametrize(
    ("seed", "got"),
    [
        (Variable(np.ones(2)), "(2,)"),
        (Variable(np.array(1.0)), "()"),
        (Variable(np.ones((1, 3))), "(1, 3)"),
        (np.ones(3), "ndarray"),
        (1.0, "float"),
    ],
)
def test_a_seed_that_does_not_fit(seed: Any, got: str) -> None:
    x = Variable(np.ones(3))
    y = x * 2
    y.grad = seed
    message = (
        f"backward: expected grad to be a Variable of shape (3,) to start from, "
        f"got {got}"
    )
    with pytest.raises(GradientError, match=f"^{re.escape(message)}$"):
        y.backward()
    assert x.grad is None
    assert y.grad is seed


@pytest.mark.parametrize(
    ("grad", "got"),
    [(Variable(np.ones(2)), "(2,)"), (Variable(np.ones((3, 1))), "(3, 1)")],
)
def test_a_gradient_to_which_nothing_can_be_added(grad: Any, got: str) -> None:
    x, w = Variable(np.ones(3)), Variable(np.ones(3))
    w.grad = grad
    message = (
        "backward: expected the grad of {} to have its shape (3,), to add to it, "
        f"got {got}; write x.cleargrad()"
    )
    for y in (x * w, w * x):
        with refused(GradientError, message.format("a Variable"), x, w, y):
            y.backward()
    w.name = "w"
    with refused(GradientError, message.format("w"), x, w):
        (x * w).backward()


# -- writes behind the graph --------------------------------------------------------


def written(function: str, role: str, who: str) -> str:
    return (
        f"{function}.backward: expected the data of its {role} {who} as it was in "
        "forward, got data written since; call backward() before you write, or "
        "compute with x.copy()"
    )


def rebind(x: Variable) -> None:
    x.data = np.full(x.shape, 9.0)


def subtract(x: Variable) -> None:
    x.data -= 1


def multiply(x: Variable) -> None:
    x.data *= 0.5


@pytest.mark.parametrize("write", [rebind, subtract, multiply])
def test_a_write_after_use(write: Callable[[Variable], None]) -> None:
    x, w = Variable(np.ones(3)), Variable(np.ones(3), name="w")
    y = F.exp(x * w) + x
    write(w)
    with refused(GradientError, written("Mul", "input", "'w'"), x, w, y):
        y.backward()
    z = F.sin(x) + w
    write(x)
    with refused(GradientError, written("Sin", "input", "of shape (3,)"), x, w, z):
        z.backward()
    (x * w).backward()  # a new graph is none the worse for it
    assert w.grad.data.tolist() == x.data.tolist()


def test_a_write_into_a_constant_after_use() -> None:
    x, t = Variable(np.ones(3)), Variable(np.ones(3), "t", requires_grad=False)
    y = x * t
    rebind(t)
    with refused(GradientError, written("Mul", "input", "'t'"), x, t):
        y.backward()


def test_a_write_into_a_variable_in_between() -> None:
    x = Variable(np.ones(3))
    h = F.exp(x)
    y = h * 2
    rebind(h)
    with refused(GradientError, written("Mul", "input", "of shape (3,)"), x, h, y):
        y.backward()


def test_a_write_into_an_output_before_its_use() -> None:
    x = Variable(np.ones(3))
    h = F.exp(x)  # whose derivative is made from h
    rebind(h)
    y = h * 2
    with refused(GradientError, written("Exp", "output", "of shape (3,)"), x, h, y):
        y.backward()


def test_a_write_of_another_shape() -> None:
    x, w = Variable(np.ones(3), name="x"), Variable(np.ones(3))
    y = x * w
    x.data = np.ones(7)
    with refused(GradientError, written("Mul", "input", "'x'"), x, w, y):
        y.backward()


def test_a_write_into_the_root() -> None:
    x = Variable(np.ones(3))
    y = F.exp(x)
    rebind(y)
    with refused(GradientError, written("Exp", "output", "of shape (3,)"), x, y):
        y.backward()


def test_a_write_before_use_is_no_error() -> None:
    x = Variable(np.ones(3))
    y = x * 2
    y.backward()
    rebind(x)
    (x * x).backward()
    assert x.grad.data.tolist() == [20.0] * 3
