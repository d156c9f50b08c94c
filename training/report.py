"""Figures as a page for people and a file for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.data.esc10 import LABELS


def markdown(results: dict[str, Any]) -> str:
    """Return the page."""
    lines = [f"# {results['model']}: measured", "", *_folds(results["leave_one_out"]), ""]
    lines += [*_classes(results["leave_one_out"]), "", *_quiet(results["quiet"], "Shipped file"), ""]
    lines += _quiet(results["quiet_folds"], "Fold run")
    return "\n".join(lines) + "\n"


def write(out: Path, results: dict[str, Any], text: str) -> None:
    """Write ``out.json`` and ``out.md``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(text, encoding="utf-8")


def _folds(loo: dict[str, Any]) -> list[str]:
    head = [
        "Each fold of ESC-10 is measured by a network that was trained on the other three; its weights are the",
        "averaged last ones, none were picked on the fold. How the decision rules were set: see [models](models.md).",
        "*Found* is the share of clips with an event of their class at the card's rules; *false* counts events of",
        "other classes per 5 s clip.",
        "",
        "| fold held out | clip accuracy | found | false events per clip |",
        "|---|---|---|---|",
    ]
    rows = [f"| {k} | {_row(fold)} |" for k, fold in sorted(loo["folds"].items())]
    return [*head, *rows, f"| **mean** | {_row(loo)} |"]


def _row(figures: dict[str, Any]) -> str:
    return f"{figures['clip_accuracy']:.1%} | {figures['found']:.1%} | {figures['false_events']:.2f}"


def _classes(loo: dict[str, Any]) -> list[str]:
    rows = []
    for k, name in enumerate(LABELS):
        counts = loo["confusion"][k]
        taken = ", ".join(f"{LABELS[j]} {n}" for j, n in enumerate(counts) if n and j != k)
        right, false = counts[k] / max(sum(counts), 1), loo["false_by_class"].get(name, 0)
        rows.append(f"| {name} | {right:.0%} | {loo['found_by_class'][name]:.0%} | {false} | {taken or 'none'} |")
    return ["| class | clips right | found | false events | clips taken for |", "|---|---|---|---|---|", *rows]


def _quiet(figures: dict[str, Any], what: str) -> list[str]:
    head = [
        f"| {what} | 60 s of digital silence | white noise, six levels of 10 s | soundscapes never trained on |",
        "|---|---|---|---|",
    ]
    rows = []
    for name, found in sorted(figures.items()):
        noise = "; ".join(f"{level}: {_events(events)}" for level, events in found["white_noise"].items() if events)
        heard = f"{_events(found['soundscapes'])} in {found['soundscapes_seconds']} s"
        rows.append(f"| {name} | {_events(found['silence_60s'])} | {noise or 'nothing'} | {heard} |")
    return [*head, *rows]


def _events(events: dict[str, int]) -> str:
    return ", ".join(f"{label} x {n}" for label, n in events.items()) or "nothing"
