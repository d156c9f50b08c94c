"""Figures as a page for people and a file for programs.

``docs/results.json`` holds sections by name, in the order in which they first came; ``docs/results.md`` is rendered
from it. A section is a dict with ``kind``: ``evaluation``, as `training.evaluation.evaluate` gives it, or ``table``,
see `table`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.errors import ConfigError
from training.evaluation.measures import HEADLINES

Section = Mapping[str, Any]
JUDGED = "Only recordings that training never saw are judged; *found* is the share with an event of their class."
FOLDS = (
    "Each fold is measured by a network that was trained on the others. *Found* is the share of recordings with an "
    "event of their class, *false events* are of other classes."
)
INTRODUCTION = "Every figure comes from a command of this project, which stands beside it."
PERCENT = {
    "clip_accuracy", "map", "map_at_3", "clip_f1", "found", "event_f1", "event_f1_500ms", "segment_f1", "recall",
    "average_precision", "short_f1", "short_f1_500ms", "event_precision", "event_recall",
}  # fmt: skip


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], text: str = "", command: str = ""
) -> dict[str, Any]:
    """Return a section that is a table: of an ablation, or of many recipes.

    Parameters
    ----------
    columns, rows
        Heads, and the cells of each row: text as it is, numbers as they should be read, None for nothing.

    Raises
    ------
    ValueError
        A row has another number of cells.
    """
    wrong = next((row for row in rows if len(row) != len(columns)), None)
    if wrong is not None:
        raise ValueError(f"{title}: expected rows of {len(columns)} cells, got {list(wrong)}")
    body = {"columns": list(columns), "rows": [list(row) for row in rows]}
    return {"kind": "table", "title": title, "text": text, "command": command, **body}


def merge(path: Path, name: str, section: Section) -> dict[str, Any]:
    """Put a section into a file of results, beside or in place of one; write the page next to it; return all.

    Raises
    ------
    ConfigError
        The file is there and is no file of results.
    """
    sections = read(path)["sections"] if path.exists() else {}
    sections[name] = clean(section)
    results = {"sections": sections}
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    _write(path.with_suffix(".md"), page(results))
    return results


def read(path: Path) -> dict[str, Any]:
    """Return a file of results.

    Raises
    ------
    ConfigError
        It is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a file of results, got no JSON: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(found, dict) or not isinstance(found.get("sections"), dict):
        raise ConfigError(f"{path}: expected a file of results with `sections`, got another one; choose another file")
    return found


def write(folder: Path, section: Section) -> list[Path]:
    """Write ``report.json``, ``report.md`` and the pictures; returns what was written.

    Raises
    ------
    ConfigError
        matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "report.json", folder / "report.md", *_pictures(folder, section)]
    _write(written[0], json.dumps(clean(section), indent=1, ensure_ascii=False) + "\n")
    shown = "".join(f"\n![{p.stem.replace('-', ' ')}]({p.name})\n" for p in written[2:])
    _write(written[1], "# Measured\n\n" + markdown(section) + shown)
    return written


def page(results: Mapping[str, Any]) -> str:
    """Return the page of all sections."""
    parts = [f"## {s.get('title') or name}\n\n{markdown(s)}" for name, s in results["sections"].items()]
    return "\n".join(["# Results\n", INTRODUCTION + "\n", *parts])


def markdown(section: Section) -> str:
    """Return one section without its title.

    Raises
    ------
    ConfigError
        A kind that nobody knows how to write.
    """
    kind = section.get("kind")
    if kind not in RENDERERS:
        raise ConfigError(f"results: expected a section of kind {', '.join(RENDERERS)}, got {kind!r}")
    blocks = [section.get("text", ""), *RENDERERS[kind](section)]
    if section.get("command"):
        blocks.append(f"```sh\n{section['command']}\n```")
    return "\n\n".join(block for block in blocks if block) + "\n"


def clean(value: Any) -> Any:
    """Return a value as JSON can hold it: no NaN, no infinity, floats to 6 digits."""
    if isinstance(value, Mapping):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _table(section: Section) -> list[str]:
    return [_grid(section["columns"], section["rows"])]


def _evaluation(section: Section) -> list[str]:
    data = section["data"]
    folds = section.get("folds")
    head = f"Data: {data['name']}, {data['recordings']} recordings (`{data['folder']}`). {FOLDS if folds else JUDGED}"
    blocks = [head, _summary(section["targets"], folds)]
    best = folds["pooled"] if folds else next((t["figures"] for t in section["targets"] if t["figures"]), None)
    if best and (folds or "event_f1" in best):
        blocks.append(_all_figures(best, folds))
    if best:
        blocks += [_classes(best, section["labels"]), _false_alarms(best), _devices(section["targets"], folds)]
    if section.get("fused"):
        blocks.append(_fused(section["fused"]))
    return [*blocks, _quiet(section["targets"])]


def _summary(targets: Sequence[Mapping[str, Any]], folds: Mapping[str, Any] | None) -> str:
    """Each target a row, then the mean of the folds."""
    measured = [t for t in targets if t["figures"]]
    if not measured:
        return "The recordings were all learnt from: only what must stay quiet can be asked."
    few = ("clip_accuracy", "map", "found", "false_events", "event_f1", "event_f1_500ms", "short_f1", "psds1")
    names = [n for n in few if all(n in t["figures"] for t in measured) and (not folds or n in folds["mean"])]
    if "clip_accuracy" in names and "map" in names and len(names) > 4:
        names.remove("map")
    rows = [
        [t["name"], _known(t["held_out"]), t["figures"]["recordings"], *(_number(n, t["figures"][n]) for n in names)]
        for t in measured
    ]
    if folds:
        mean, spread = folds["mean"], folds["deviation"]
        cells = [f"**{_number(n, mean[n])}** ± {_number(n, spread[n])}" for n in names]
        rows.append(["**mean of the folds**", "", folds["pooled"]["recordings"], *cells])
    return _grid(["", "fold held out", "recordings", *(HEADLINES[n] for n in names)], rows)


def _fused(fused: Mapping[str, Any]) -> str:
    """Clip figures of each network and of all as one, on the same recordings."""
    names = [n for n in HEADLINES if n in fused["together"]]
    parts = {**fused["each"], f"**all, by {fused['by']}**": fused["together"]}
    rows = [[name, *(_number(n, part[n]) for n in names)] for name, part in parts.items()]
    table = _grid(["", *(HEADLINES[n] for n in names)], rows)
    return f"On the {fused['recordings']} recordings that none of them learnt from:\n\n{table}"


def _all_figures(pooled: Mapping[str, Any], folds: Mapping[str, Any] | None) -> str:
    """Every figure with the mean and the deviation of folds, or its value, and the interval over all recordings."""
    heads = ["mean of the folds", "deviation"] if folds else ["value"]
    rows = []
    for name in (n for n in HEADLINES if n in (folds["mean"] if folds else pooled)):
        interval = pooled["intervals"].get(name)
        sure = f"{_number(name, interval[0])} to {_number(name, interval[1])}" if interval else ""
        values = [folds[k][name] for k in ("mean", "deviation")] if folds else [pooled[name]]
        rows.append([HEADLINES[name], *(_number(name, value) for value in values), sure])
    return _grid(["figure", *heads, "95 % interval over recordings"], rows)


def _classes(figures: Mapping[str, Any], labels: Sequence[str]) -> str:
    by_class, counts = figures["by_class"], figures.get("confusion")
    heads = {
        "clips": "recordings", "recall": "right", "average_precision": "AP", "found": "found", "clip_f1": "clip F1",
        "false_events": "false events", "event_f1": "event F1 (200 ms)", "event_f1_500ms": "event F1 (500 ms)",
        "short_f1": "event F1 below 1 s",
    }  # fmt: skip
    names = [n for n in heads if any(n in by_class[label] for label in labels)]
    rows = []
    for k, label in enumerate(labels):
        taken = [f"{labels[j]} {n}" for j, n in enumerate(counts[k]) if n and j != k] if counts else []
        cells = [_number(n, by_class[label].get(n)) for n in names]
        rows.append([label, *cells, *([", ".join(taken) or "none"] if counts else [])])
    return _grid(["class", *(heads[n] for n in names), *(["taken for"] if counts else [])], rows)


def _devices(targets: Sequence[Mapping[str, Any]], folds: Mapping[str, Any] | None) -> str:
    """Each device a row: of each target, or the mean and the deviation of the folds."""
    few = ("clip_accuracy", "auc", "map", "found", "false_events", "event_f1", "event_f1_500ms", "segment_f1")
    heads, rows = ["device", "recordings"], []
    if folds:
        found = folds.get("by_device", {})
        names = [n for n in few if any(n in one["mean"] for one in found.values())]
        for device, one in found.items():
            pairs = [(_number(n, one["mean"].get(n)), _number(n, one["deviation"].get(n))) for n in names]
            rows.append([device, one["pooled"]["recordings"], *(f"{mean} ± {spread}" for mean, spread in pairs)])
    else:
        each = [(t["name"], *one) for t in targets for one in (t["figures"] or {}).get("by_device", {}).items()]
        names = [n for n in few if any(n in figures for *_, figures in each)]
        heads = ["", *heads]
        rows = [[t, device, f["recordings"], *(_number(n, f.get(n)) for n in names)] for t, device, f in each]
    return "By device:\n\n" + _grid([*heads, *(HEADLINES[n] for n in names)], rows) if rows else ""


def _false_alarms(figures: Mapping[str, Any]) -> str:
    found = figures.get("alarms")
    if not found:
        return ""
    return (
        f"Events of what does not sound, on {found['on']} ({found['hours']:.2f} h): "
        f"{figures['false_alarms_per_hour']:.1f} per hour (at most {found['at_most_per_hour']:.1f} at 95 %); "
        f"{_events(found['events'])}."
    )


def _quiet(targets: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for t in targets:
        found = t["quiet"]
        noise = "; ".join(f"{level}: {_events(events)}" for level, events in found["white_noise"].items() if events)
        heard = "not asked"
        if "background" in found:
            rate, most = found["background_per_hour"], found["background_at_most_per_hour"]
            heard = f"{_events(found['background'])} in {found['background_seconds']:.0f} s"
            heard += f": {rate:.1f} per hour, at most {most:.1f} at 95 %"
        rows.append([t["name"], _events(found["silence_60s"]), noise or "nothing", heard])
    return _grid(
        ["", "60 s of digital silence", "white noise, six levels of 10 s", "background never trained on"], rows
    )


def _tuning(section: Section) -> list[str]:
    if "before" not in section:  # nothing was known of the recordings
        changed = section["rules"].items()
        rows = [[name, *(_rule(rules[k]) for k in ("before", "after"))] for name, rules in changed]
        return [_grid(["class", "on / off / median before", "after"], rows)]
    before, after, cross = section["before"], section["after"], section.get("cross")
    names = [n for n in ("clip_f1", "found", "false_events", "event_f1", "event_f1_500ms", "false_alarms_per_hour")
             if n in before and n in after]  # fmt: skip
    rows = [
        [HEADLINES[n], _number(n, before[n]), _number(n, after[n]), *([_number(n, cross.get(n))] if cross else [])]
        for n in names
    ]
    heads = ["", "before", "after, on the data that chose", *(["each fold by the others' rules"] if cross else [])]
    figure = "event_f1" if any("event_f1" in f for f in before["by_class"].values()) else "clip_f1"
    rules = []
    for name in section["labels"]:
        changed = section["rules"].get(name)
        texts = [_rule(changed[k]) for k in ("before", "after")] if changed else ["as it was", ""]
        rules.append([name, *texts, *(_number(figure, s["by_class"][name].get(figure)) for s in (before, after))])
    classes = _grid(["class", "on / off / median before", "after", f"{HEADLINES[figure]} before", "after"], rules)
    return [_grid(heads, rows), classes]


def _rule(rule: Mapping[str, Any]) -> str:
    thresholds = f"{rule['on']:g} / {rule['off']:g}"
    if "clips" in rule:
        return f"{thresholds} / clips of {rule['clips']:g} s"
    if "lasts" in rule:  # of a state, which has one threshold
        return f"{rule['on']:g} / none / {rule['median']:g} s, for {rule['lasts']:g} s"
    path = f", chain {rule['chain'][0]:g} s / {rule['chain'][1]:g} s" if "chain" in rule else ""
    return f"{thresholds} / {rule['median']:g} s{path}"


RENDERERS: dict[str, Callable[[Section], list[str]]] = {
    "evaluation": _evaluation,
    "table": _table,
    "tuning": _tuning,
}


def _pictures(folder: Path, section: Section) -> list[Path]:
    """Draw what there is: the confusion, and the figure by class that says most."""
    from training.evaluation import plots

    if section["kind"] != "evaluation":
        return []
    folds = section.get("folds")
    figures = folds["pooled"] if folds else next((t["figures"] for t in section["targets"] if t["figures"]), None)
    if not figures:
        return []
    paths, name = [], section["data"]["name"]
    if "confusion" in figures:
        paths.append(folder / "confusion.png")
        plots.confusion(figures["confusion"], section["labels"], paths[-1], f"{name}: {figures['recordings']} clips")
    for key, what in (
        ("event_f1", "event F1, 200 ms"),
        ("average_precision", "average precision"),
        ("clip_f1", "clip F1"),
    ):
        values = {label: f[key] for label, f in figures["by_class"].items() if f.get(key) is not None}
        if values:
            paths.append(folder / f"{key.replace('_', '-')}.png")
            overall = figures.get({"average_precision": "map"}.get(key, key))
            plots.by_class(values, paths[-1], f"{name}: {what} by class", overall)
    return paths


def _grid(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; bars in cells would end them."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(_known(c).replace("|", r"\|") for c in cells) + " |"

    return "\n".join([line(heads), "|" + "---|" * len(heads), *map(line, rows)])


def _known(value: Any) -> str:
    return "" if value is None else str(value)


def _number(name: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    if name in PERCENT:
        return f"{value:.1%}"
    return str(value) if isinstance(value, int) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _events(events: Mapping[str, int]) -> str:
    return ", ".join(f"{label} x {n}" for label, n in events.items()) or "nothing"


def _write(path: Path, text: str) -> None:
    """Write beside and rename: a kill leaves the old file or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
