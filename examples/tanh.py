"""Derivatives of tanh of any order: backward through backward, again and again.

``backward(create_graph=True)`` computes the gradient out of Variables, so the gradient
has a graph of its own and can be differentiated in turn. Two pictures come out: the
curves of the derivatives, and the graph of the last one.

Needs matplotlib. Takes about 3 seconds.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from pictures import save

import dezero
import dezero.functions as F
from dezero import Variable
from dezero.utils import plot_dot_graph

parser = argparse.ArgumentParser(description="Higher-order derivatives of tanh")
parser.add_argument("--order", type=int, default=4, help="of the highest derivative")
parser.add_argument("--out", type=Path, default="runs/tanh.png", help="the curves")
parser.add_argument("--quick", action="store_true", help="stop at the order 2")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
order = 2 if options.quick else options.order


def derivatives(x, order):
    """tanh(x), its first derivative, its second, ... at every element of x."""
    y = F.tanh(x)
    ys = [y]
    for _ in range(order):
        x.cleargrad()
        y.backward(create_graph=True)
        y = x.grad
        ys.append(y)
    return ys


sweep = dezero.compile(derivatives) if options.compile else derivatives

# The curves: an element of y depends on its own element of x alone, so the gradient
# of the whole array is the derivative at each point.
x = Variable(np.linspace(-4, 4, 401))
figure, panel = plt.subplots(figsize=(7, 4.5), layout="constrained")
for n, y in enumerate(sweep(x, order)):
    panel.plot(x.data, y.data, label="tanh" if n == 0 else f"derivative {n}")
panel.set_xlabel("x")
panel.set_title(f"tanh and its derivatives up to order {order}")
panel.grid(color="#eeeeee")
panel.legend(frameon=False)
save(figure, options.out)

# One point: at 0 the derivatives are whole numbers, known as the tangent numbers.
x = Variable(np.array(0.0), name="x")
for n, y in enumerate(sweep(x, order)):
    print(f"order {n}: {y.item() + 0:g} at 0")

ys = derivatives(x, order)  # a compiled function leaves no graph
for n, y in enumerate(ys):
    y.name = f"y{n}"
graph = options.out.with_name(options.out.stem + "-graph.png")
plot_dot_graph(ys[-1], verbose=False, to_file=graph)
print(f"written: {graph}")
