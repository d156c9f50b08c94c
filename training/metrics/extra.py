"""Libraries of the extra ``eval``, imported where they are used: they are large, and a device never needs them."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

from edge.errors import ConfigError


def need(module: str) -> ModuleType:
    """Import a library of the extra.

    Raises
    ------
    ConfigError
        It, or what it stands on, is not installed: the message names the extra.
    """
    try:
        with warnings.catch_warnings():
            # sed_eval stands on dcase_util, which still asks setuptools for pkg_resources.
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"figures: {module} needs the package {error.name!r}: pip install 'wheatear[eval]'") from None
