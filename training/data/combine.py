"""Sets that become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from training.data.dataset import Dataset, Item, Sound


def relabel(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """Return the set with its classes by the indices that they have among `labels`, which hold all of them.

    Raises
    ------
    ValueError
        A class of the set is not among them.
    """
    missing = [name for name in dataset.labels if name not in labels]
    if missing:
        raise ValueError(f"{dataset.name}: expected labels that hold {missing[0]!r}, got {', '.join(labels)}")
    new = [labels.index(name) for name in dataset.labels]

    def moved(item: Item) -> Item:
        return replace(
            item,
            weak=None if item.weak is None else tuple(sorted(new[k] for k in item.weak)),
            strong=None if item.strong is None else tuple(Sound(new[s.label], s.onset, s.offset) for s in item.strong),
            order=None if item.order is None else tuple(2 * new[k // 2] + k % 2 for k in item.order),
        )

    return replace(dataset, labels=tuple(labels), items=tuple(moved(item) for item in dataset.items))


def join(datasets: Sequence[Dataset], name: str = "") -> Dataset:
    """Return one set of several: classes of the same name are one; names and groups begin with those of their set.

    A recording of one set says nothing about classes that only another set has, and yet counts as without them: join
    sets whose classes are all annotated in each, or are all that sounds in it.
    """
    if len(datasets) == 1:
        return datasets[0]
    labels = tuple(dict.fromkeys(label for dataset in datasets for label in dataset.labels))
    items = [
        replace(item, name=f"{dataset.name}/{item.name}", group=item.group and f"{dataset.name}/{item.group}")
        for dataset in datasets
        for item in relabel(dataset, labels).items
    ]
    return Dataset(
        name or " + ".join(dataset.name for dataset in datasets),
        labels,
        tuple(items),
        exclusive=all(dataset.exclusive for dataset in datasets),
        licence="; ".join(dict.fromkeys(dataset.licence for dataset in datasets if dataset.licence)),
        attribution="; ".join(dict.fromkeys(dataset.attribution for dataset in datasets if dataset.attribution)),
    )
