"""What a configuration leaves open, filled in for the computer that it runs on."""

from __future__ import annotations

from msgspec.structs import replace

from edge.config.config import Config
from edge.config.profile import Profile, resolve, use_cache
from edge.config.streams import Stream


def settle(config: Config) -> Config:
    """The configuration with its device profile's chunk where streams say none.

    Engine and precision that a profile prefers are a wish, not a demand: `edge.supervise.models` fulfils it.

    Kernels are kept from now on where the profile says: to be called before numba is imported.

    Raises
    ------
    ConfigError
        No profile is called so.
    """
    profile = resolve(config.device_profile)
    use_cache(profile)
    return replace(config, streams=tuple(_filled(stream, profile) for stream in config.streams))


def _filled(stream: Stream, profile: Profile) -> Stream:
    return stream if stream.chunk is not None else replace(stream, chunk=profile.chunk_ms / 1000)
