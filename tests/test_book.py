"""Every name that programs written for the book use, with the book's arguments."""

from __future__ import annotations

import inspect
import operator
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import dezero
from dezero import functions as F

# One line is one name, with arguments as the book has them; without brackets stand
# attributes, and those whose arguments the tests below look at or nobody relies on.
NAMES = {
    "": """
        Variable(data, name=None)
        Parameter(data, name=None)
        Function
        Layer
        Model
        Config
        using_config(name, value)
        no_grad()
        test_mode()
        as_array
        as_variable(obj)
        setup_variable()
        Dataset(train=True, transform=None, target_transform=None)
        DataLoader(dataset, batch_size, shuffle=True, gpu=False)
        SeqDataLoader(dataset, batch_size, gpu=False)
        __version__
        is_simple_core
        Variable.data
        Variable.grad
        Variable.creator
        Variable.generation
        Variable.name
        Variable.shape
        Variable.ndim
        Variable.size
        Variable.dtype
        Variable.T
        Variable.set_creator(self, func)
        Variable.unchain(self)
        Variable.unchain_backward(self)
        Variable.cleargrad(self)
        Variable.backward(self, retain_grad=False, create_graph=False)
        Variable.reshape(self, *shape)
        Variable.transpose(self, *axes)
        Variable.sum(x, axis=None, keepdims=False)
        Variable.max(x, axis=None, keepdims=False)
        Variable.min(x, axis=None, keepdims=False)
        Variable.matmul(x, W)
        Variable.dot(x, W)
        Variable.to_cpu(self)
        Variable.to_gpu(self)
        Function.inputs
        Function.outputs
        Function.generation
        Function.forward(self, *xs)
        Function.backward(self, *gys)
    """,
    "core": """
        Variable(data, name=None)
        Parameter(data, name=None)
        Function
        Config
        using_config(name, value)
        no_grad()
        test_mode()
        as_array
        as_variable(obj)
        setup_variable()
        Add()
        Mul()
        Neg()
        Sub()
        Div()
        Pow(c)
        add(x0, x1)
        mul(x0, x1)
        neg(x)
        sub(x0, x1)
        rsub(x0, x1)
        div(x0, x1)
        rdiv(x0, x1)
        pow(x, c)
    """,
    "core_simple": """
        Variable(data, name=None)
        Function
        Config
        using_config(name, value)
        no_grad()
        as_variable(obj)
        as_array
        setup_variable()
        Add()
        Mul()
        Neg()
        Sub()
        Div()
        Pow(c)
        add(x0, x1)
        mul(x0, x1)
        neg(x)
        sub(x0, x1)
        rsub(x0, x1)
        div(x0, x1)
        rdiv(x0, x1)
        pow(x, c)
    """,
    "functions": """
        Sin()
        Cos()
        Tanh()
        Exp()
        Log()
        Reshape(shape)
        Transpose(axes=None)
        GetItem(slices)
        Sum(axis, keepdims)
        SumTo(shape)
        BroadcastTo(shape)
        MatMul()
        Linear()
        Sigmoid()
        ReLU()
        Softmax(axis=1)
        LogSoftmax(axis=1)
        LeakyReLU(slope)
        MeanSquaredError()
        SoftmaxCrossEntropy()
        BatchNorm(mean, var, decay, eps)
        Max(axis=None, keepdims=False)
        Min(axis=None, keepdims=False)
        Clip(x_min, x_max)
        sin(x)
        cos(x)
        tanh(x)
        exp(x)
        log(x)
        reshape(x, shape)
        transpose(x, axes=None)
        get_item(x, slices)
        expand_dims(x, axis)
        flatten(x)
        sum(x, axis=None, keepdims=False)
        sum_to(x, shape)
        broadcast_to(x, shape)
        average(x, axis=None, keepdims=False)
        mean(x, axis=None, keepdims=False)
        matmul(x, W)
        linear(x, W, b=None)
        linear_simple(x, W, b=None)
        sigmoid(x)
        sigmoid_simple(x)
        relu(x)
        softmax(x, axis=1)
        softmax_simple(x, axis=1)
        log_softmax(x, axis=1)
        leaky_relu(x, slope=0.2)
        mean_squared_error(x0, x1)
        mean_squared_error_simple(x0, x1)
        softmax_cross_entropy(x, t)
        softmax_cross_entropy_simple(x, t)
        sigmoid_cross_entropy(x, t)
        binary_cross_entropy(p, t)
        accuracy(y, t)
        dropout(x, dropout_ratio=0.5)
        batch_norm(x, gamma, beta, mean, var, decay=0.9, eps=2e-5)
        batch_nrom(x, gamma, beta, mean, var, decay=0.9, eps=2e-5)
        embed_id(x, W)
        max(x, axis=None, keepdims=False)
        min(x, axis=None, keepdims=False)
        clip(x, x_min, x_max)
        add(x0, x1)
        sub(x0, x1)
        rsub(x0, x1)
        mul(x0, x1)
        div(x0, x1)
        rdiv(x0, x1)
        neg(x)
        pow(x, c)
    """,
    "functions_conv": """
        conv2d(x, W, b=None, stride=1, pad=0)
        conv2d_simple(x, W, b=None, stride=1, pad=0)
        deconv2d(x, W, b=None, stride=1, pad=0, outsize=None)
        pooling(x, kernel_size, stride=1, pad=0)
        pooling_simple(x, kernel_size, stride=1, pad=0)
        average_pooling(x, kernel_size, stride=1, pad=0)
        im2col(x, kernel_size, stride=1, pad=0, to_matrix=True)
        col2im(x, input_shape, kernel_size, stride=1, pad=0, to_matrix=True)
        im2col_array(img, kernel_size, stride, pad, to_matrix=True)
        col2im_array(col, img_shape, kernel_size, stride, pad, to_matrix=True)
        Conv2d(stride=1, pad=0)
        Deconv2d(stride=1, pad=0, outsize=None)
        Conv2DGradW
        Pooling(kernel_size, stride=1, pad=0)
        Pooling2DGrad
        Pooling2DWithIndexes
        AveragePooling(kernel_size, stride=1, pad=0)
        Im2col(kernel_size, stride, pad, to_matrix)
        Col2im(input_shape, kernel_size, stride, pad, to_matrix)
    """,
    "layers": """
        Layer()
        Layer.params(self)
        Layer.cleargrads(self)
        Layer.to_cpu(self)
        Layer.to_gpu(self)
        Layer.save_weights(self, path)
        Layer.load_weights(self, path)
        Linear(out_size, nobias=False, dtype=np.float32, in_size=None)
        Conv2d(out_channels, kernel_size, stride=1, pad=0,
            nobias=False, dtype=np.float32, in_channels=None)
        Deconv2d(out_channels, kernel_size, stride=1, pad=0,
            nobias=False, dtype=np.float32, in_channels=None)
        RNN(hidden_size, in_size=None)
        RNN.reset_state(self)
        LSTM(hidden_size, in_size=None)
        LSTM.reset_state(self)
        EmbedID(in_size, out_size)
        BatchNorm()
    """,
    "models": """
        Model()
        Model.plot(self, *inputs, to_file="model.png")
        Sequential(*layers)
        MLP(fc_output_sizes, activation=F.sigmoid)
        VGG16(pretrained=False)
        VGG16.preprocess(image, size=(224, 224), dtype=np.float32)
        ResNet(n_layers=152, pretrained=False)
        ResNet50(pretrained=False)
        ResNet101(pretrained=False)
        ResNet152(pretrained=False)
        SqueezeNet(pretrained=False)
    """,
    "optimizers": """
        Optimizer()
        Optimizer.setup(self, target)
        Optimizer.update(self)
        Optimizer.update_one(self, param)
        Optimizer.add_hook(self, f)
        SGD(lr=0.01)
        MomentumSGD(lr=0.01, momentum=0.9)
        AdaGrad(lr=0.001, eps=1e-8)
        AdaDelta(rho=0.95, eps=1e-6)
        Adam(alpha=0.001, beta1=0.9, beta2=0.999, eps=1e-8)
        Adam.lr
        WeightDecay(rate)
        ClipGrad(max_norm)
        FreezeParam(*layers)
    """,
    "datasets": """
        Dataset(train=True, transform=None, target_transform=None)
        Dataset.prepare(self)
        get_spiral(train=True)
        Spiral(train=True, transform=None, target_transform=None)
        MNIST
        MNIST.show(self, row=10, col=10)
        MNIST.labels()
        CIFAR10
        CIFAR10.show(self, row=10, col=10)
        CIFAR10.labels()
        CIFAR100
        CIFAR100.labels(label_type="fine")
        ImageNet
        ImageNet.labels()
        SinCurve(train=True, transform=None, target_transform=None)
        Shakespear(train=True, transform=None, target_transform=None)
    """,
    "dataloaders": """
        DataLoader(dataset, batch_size, shuffle=True, gpu=False)
        DataLoader.reset(self)
        DataLoader.next(self)
        DataLoader.to_cpu(self)
        DataLoader.to_gpu(self)
        SeqDataLoader(dataset, batch_size, gpu=False)
    """,
    "transforms": """
        Compose
        Convert(mode="RGB")
        Resize
        CenterCrop(size)
        ToArray(dtype=np.float32)
        ToPIL()
        RandomHorizontalFlip
        Normalize(mean=0, std=1)
        Flatten()
        AsType(dtype=np.float32)
        ToFloat(dtype=np.float32)
        ToInt
    """,
    "utils": """
        get_dot_graph(output, verbose=True)
        plot_dot_graph(output, verbose=True, to_file="graph.png")
        sum_to(x, shape)
        reshape_sum_backward(gy, x_shape, axis, keepdims)
        logsumexp(x, axis=1)
        max_backward_shape(x, axis)
        gradient_check(f, x, *args, rtol=1e-4, atol=1e-5, **kwargs)
        numerical_grad(f, x, *args, **kwargs)
        array_equal(a, b)
        array_allclose(a, b, rtol=1e-4, atol=1e-5)
        show_progress(block_num, block_size, total_size)
        cache_dir
        get_file(url, file_name=None)
        get_deconv_outsize(size, k, s, p)
        get_conv_outsize(input_size, kernel_size, stride, pad)
        pair(x)
    """,
    "cuda": """
        gpu_enable
        get_array_module(x)
        as_numpy(x)
        as_cupy(x)
    """,
}
LINES = [
    (module, " ".join(line.split()))
    for module, lines in NAMES.items()
    for line in re.split(r"\n {8}(?! )", lines.strip())
]


def find(module: str, name: str) -> Any:
    return operator.attrgetter(f"{module}.{name}" if module else name)(dezero)


@pytest.mark.parametrize(("module", "line"), LINES)
def test_a_name_of_the_book(module: str, line: str) -> None:
    name, bracket, arguments = line.partition("(")
    found = find(module, name)
    if not bracket:
        return
    book = inspect.signature(eval(f"lambda {arguments[:-1]}: 0", {"np": np, "F": F}))
    wanted = list(book.parameters.values())
    ours = list(inspect.signature(found).parameters.values())
    for mine, its in zip(ours, wanted, strict=False):
        assert (mine.name, mine.kind) == (its.name, its.kind)
        if its.default is not its.empty:
            assert mine.default == its.default
    for more in ours[len(wanted) :]:
        variadic = more.kind in (more.VAR_POSITIONAL, more.VAR_KEYWORD)
        assert variadic or more.default is not more.empty
    assert len(ours) >= len(wanted)


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("datasets", "MNIST", ["train", "transform", "target_transform"]),
        ("datasets", "CIFAR10", ["train", "transform", "target_transform"]),
        (
            "datasets",
            "CIFAR100",
            ["train", "transform", "target_transform", "label_type"],
        ),
        ("transforms", "Compose", ["transforms"]),
        ("transforms", "Resize", ["size", "mode"]),
        ("transforms", "ToInt", ["dtype"]),
    ],
)
def test_arguments_whose_defaults_are_objects(
    module: str, name: str, arguments: list[str]
) -> None:
    ours = list(inspect.signature(find(module, name)).parameters.values())
    assert [p.name for p in ours[: len(arguments)]] == arguments
    assert all(p.default is not p.empty for p in ours[1:])


def test_everything_of_functions_conv_is_in_functions() -> None:
    for module, line in LINES:
        if module == "functions_conv":
            name = line.partition("(")[0]
            assert getattr(F, name) is find(module, name)


def test_import_dezero_is_enough() -> None:
    names = [
        f"dezero.{module}.{name}" if module else f"dezero.{name}"
        for module, line in LINES
        for name in [line.partition("(")[0]]
        if not name.startswith("Function.")  # those are of its instances
    ]
    code = "import dezero\n" + "\n".join(names)
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_which_engine_this_is() -> None:
    assert dezero.is_simple_core is False
    assert dezero.core_simple.Variable is not dezero.Variable is dezero.core.Variable
