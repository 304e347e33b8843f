"""Newton's method: a minimum, found by first and second derivatives.

Where gradient descent steps by ``lr * f'(x)``, Newton's method knows how curved the
function is and steps by ``f'(x) / f''(x)``: near the minimum, every step doubles the
number of right digits. The function here is exp(x) - 2 x, whose minimum is at log 2.

Needs NumPy alone. Takes no time.
"""

import argparse
import math

import numpy as np

import dezero
import dezero.functions as F
from dezero import Variable

parser = argparse.ArgumentParser(description="Newton's method")
parser.add_argument("--start", type=float, default=3.0, help="where x begins")
parser.add_argument("--steps", type=int, default=20, help="at most so many")
parser.add_argument("--quick", action="store_true", help="changes nothing here")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()


def f(x):
    return F.exp(x) - 2 * x


def slope_and_curvature(x):
    """f'(x) and f''(x) as arrays."""
    x.cleargrad()
    f(x).backward(create_graph=True)
    slope = x.grad
    x.cleargrad()
    slope.backward()
    return slope.data, x.grad.data


if options.compile:
    slope_and_curvature = dezero.compile(slope_and_curvature)
x = Variable(np.array(options.start))
print("step                   x     error")
for step in range(options.steps + 1):
    print(f"{step:4}  {x.item():18.15f}  {abs(x.item() - math.log(2)):8.1e}")
    slope, curvature = slope_and_curvature(x)
    if abs(slope) < 1e-12:
        break
    x.data -= slope / curvature
