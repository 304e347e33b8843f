from __future__ import annotations
from typing import Any
import numpy as np
from dezero.compile.ir import Graph, interpret, Node
from dezero.compile.state import Cell, Effect, Guard, Leaf


class Program:
    def __init__(self, graph, inputs, effects, guards, returned, variable):
        self.graph, self.inputs, self.effects = graph, inputs, effects
        self.guards, self.returned, self.variable = guards, returned, variable

    def admits(self, leaves):
        return all(g.holds(leaves) for g in self.guards)

    def __call__(self, leaves):
        given = {c.node: np.asarray(c.place.get(leaves)) for c in self.inputs}
        results = interpret(self.graph, given)
        def out(v):
            if isinstance(v, Leaf):
                a = results[v.node]
                if v.kind == "array": return np.array(a)
                if v.kind == "number": return a.item()
                return self.variable(np.array(a), v.name, v.requires_grad)
            if type(v) in (tuple, list): return type(v)(map(out, v))
            if type(v) is dict: return {k: out(x) for k, x in v.items()}
            return v
        for e in self.effects:
            e.place.set(leaves, out(e.value))
        return out(self.returned)
