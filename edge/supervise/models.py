"""Models as the device's profile prefers them."""

from __future__ import annotations

from typing import Any

from edge.config.profile import Profile
from edge.inference import store
from edge.inference.hardware import Hardware
from edge.inference.model import Model
from edge.inference.runtimes import available


def open_model(name: str, engine: str, precision: str, profile: Profile) -> Model:
    """Load a model; what is not wished for (``""``) is as the profile prefers it, where the model has such a file.

    Raises
    ------
    CardError
        The model is unknown, its card is wrong, or it has no such file.
    EngineError
        No installed runtime can run it.
    """
    files = [file for file in store.load_card(store.find(name)).files if available(file.engine)]
    hardware = Hardware(profile.threads, profile.providers)
    preferred = (engine or profile.engine, precision or profile.precision)
    wishes = [preferred, (preferred[0], precision), (engine, preferred[1]), (engine, precision)]
    has = {(e, p) for file in files for e in ("", file.engine) for p in ("", file.precision)}
    wish: tuple[Any, Any] = next((one for one in wishes if one in has), wishes[-1])
    return Model.load(name, wish[0] or None, wish[1] or None, hardware)
