"""Pictures of figures as PNG: the confusion matrix, and one bar per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.metrics.extra import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREY, INK = "#2f6b9a", "#b9bec4", "#22272e"
DPI = 150


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str], path: Path, title: str) -> None:
    """Draw counts ``[true, predicted]``; the shade is the share of the true class.

    Raises
    ------
    ConfigError
        matplotlib is not installed.
    """
    table = np.asarray(counts)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.42 * len(labels)
    figure, axes = _figure(side + 0.5, side)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= 30:  # more would not be read
        for row, column in np.argwhere(table):
            shade = "white" if share[row, column] > 0.55 else INK
            axes.text(column, row, str(table[row, column]), ha="center", va="center", color=shade, fontsize=8)
    names = [_plain(name) for name in labels]
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)
    _save(figure, path)


def by_class(values: Mapping[str, float], path: Path, title: str, overall: float | None = None) -> None:
    """Draw one bar per class for a figure of 0 … 1, the best on top; `overall` is a line across.

    Raises
    ------
    ConfigError
        matplotlib is not installed.
    ValueError
        No class has the figure.
    """
    known = sorted(((v, k) for k, v in values.items() if np.isfinite(v)))
    if not known:
        raise ValueError(f"{title}: expected a class with this figure, got none")
    figure, axes = _figure(6.0, 1.2 + 0.28 * len(known))
    at = range(len(known))
    axes.barh(at, [v for v, _ in known], color=BLUE, height=0.62)
    for y, (value, _) in zip(at, known, strict=True):
        axes.text(value + 0.01, y, f"{value:.2f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(at, [_plain(name) for _, name in known])
    axes.set_xlim(0, 1.08)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_ylim(-0.6, len(known) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if overall is not None and np.isfinite(overall):
        axes.axvline(overall, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.text(overall, len(known) - 0.42, f"mean {overall:.2f}", ha="right", va="bottom", fontsize=8, color=INK)
    axes.set_title(title, loc="left", fontsize=10, pad=16)
    _save(figure, path)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure that belongs to no window and no global state."""
    figure = need("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    need("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.tick_params(labelsize=8, color=GREY)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # No version or date inside: the same figures give the same bytes.
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _plain(label: str) -> str:
    """A label as text: matplotlib takes dollars for mathematics."""
    return label.replace("_", " ").replace("$", r"\$")
