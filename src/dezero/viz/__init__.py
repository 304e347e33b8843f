"""Pictures of computational graphs.

``graph.py`` records what is behind a Variable, ``layout.py`` gives it places, the
generations being the rows; ``svg.py`` and ``picture.py`` draw that in the colours of
``style.py``. ``dot.py`` writes it as text for Graphviz, ``render.py`` chooses between
them. ``plot.py`` is the front door.
"""

from dezero.viz.plot import get_dot_graph, plot_dot_graph

__all__ = ["get_dot_graph", "plot_dot_graph"]
