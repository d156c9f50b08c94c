"""What a user could pick instead of the front end: each peer computes log-mel features the way its documentation does.

A peer is asked for whole recordings (``offline``) and for one hop at a time (``hop``). Constants are computed and plans
made before the clock runs. Peers get the same window, hop, transform and number of bands; kaldi-native-fbank draws its
triangles over mel, so its spec differs there, with dither, DC removal and pre-emphasis switched off in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from edge.errors import ConfigError
from edge.frontend import filterbank
from edge.frontend.spec import FrontEndSpec, Ln, Mel, parse

Hop = Callable[[Any], np.ndarray]


def floor(spec: FrontEndSpec) -> float:
    """Least power that has a logarithm.

    Raises
    ------
    ConfigError
        Where the spec is not one of ln of mel bands, which is what peers compute.
    """
    if not isinstance(spec.scale, Ln) or not isinstance(spec.bands, Mel):
        raise ConfigError(f"bench frontend: expected a spec of ln of mel bands, got {spec.scale} of {spec.bands}")
    return spec.scale.floor


class Peer:
    """A library set up for one spec.

    Parameters
    ----------
    spec
        Framing, bands and logarithm to compute.
    """

    package = ""
    mel: Any

    def __init__(self, spec: FrontEndSpec) -> None:
        self.spec, self.mel = spec, spec.bands
        self.window = filterbank.taper(spec.frames.taper, spec.frames.window).astype(np.float32)
        self.bank = np.ascontiguousarray(filterbank.bank(spec).astype(np.float32).T)
        self.floor = np.float32(floor(spec))
        self.recent = np.zeros(spec.frames.window, np.float32)

    def reference_spec(self) -> FrontEndSpec:
        """The spec whose definition this peer computes."""
        return self.spec

    def offline(self, samples: np.ndarray) -> np.ndarray:
        """Features ``[T, F]`` of a recording."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.spec.frames.window)[:: self.spec.hop]
        return self.features(frames * self.window)

    def prepare(self, hop: np.ndarray) -> Any:
        """A hop of samples as the library likes it best."""
        return hop

    def hop(self, samples: Any) -> np.ndarray:
        """The frame that a hop of samples completes, ``[F]``."""
        keep = self.recent.size - samples.size
        self.recent[:keep] = self.recent[samples.size :]
        self.recent[keep:] = samples
        return self.features(self.recent * self.window)

    def features(self, windowed: np.ndarray) -> np.ndarray:
        """Log-mel features of windowed frames, last axis."""
        spectrum = self.transform(windowed)
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(np.maximum(power @ self.bank, self.floor))

    def transform(self, windowed: np.ndarray) -> np.ndarray:
        """The real transform of zero-padded frames."""
        raise NotImplementedError


class Scipy(Peer):
    """scipy.fft in float32, then BLAS."""

    package = "scipy"

    def transform(self, windowed: np.ndarray) -> np.ndarray:
        """As the base says."""
        import scipy.fft

        result: np.ndarray = scipy.fft.rfft(windowed, self.spec.frames.size, axis=-1)
        return result


class MklFft(Peer):
    """Intel's MKL transform, then BLAS."""

    package = "mkl_fft"

    def transform(self, windowed: np.ndarray) -> np.ndarray:
        """As the base says."""
        import mkl_fft

        result: np.ndarray = mkl_fft.rfft(windowed, self.spec.frames.size, axis=-1)
        return result


class Pyfftw(Peer):
    """FFTW with plans made in advance (FFTW_MEASURE), then BLAS."""

    package = "pyfftw"
    BLOCK = 512  # frames per plan of many

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__(spec)
        self._one, self._many = self._plan(1), self._plan(self.BLOCK)

    def _plan(self, frames: int) -> Any:
        import pyfftw

        size = self.spec.frames.size
        source = pyfftw.zeros_aligned((frames, size), "float32")
        target = pyfftw.zeros_aligned((frames, size // 2 + 1), "complex64")
        return pyfftw.FFTW(source, target, axes=(1,), flags=("FFTW_MEASURE",))

    def transform(self, windowed: np.ndarray) -> np.ndarray:
        """As the base says."""
        if windowed.ndim == 1:
            self._one.input_array[0, : windowed.size] = windowed
            return np.asarray(self._one.execute() or self._one.output_array)[0]
        out = np.empty((len(windowed), self.spec.frames.size // 2 + 1), np.complex64)
        for start in range(0, len(windowed), self.BLOCK):
            block = windowed[start : start + self.BLOCK]
            self._many.input_array[: len(block), : block.shape[1]] = block
            self._many.execute()
            out[start : start + len(block)] = self._many.output_array[: len(block)]
        return out


class RocketFft(Peer):
    """numba with rocket-fft: window, transform, sparse bands and logarithm compiled together."""

    package = "rocket-fft"

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__(spec)
        import numba
        from rocket_fft import r2c

        size, window, hop, count = spec.frames.size, spec.frames.window, spec.hop, self.bank.shape[1]
        spans = [np.nonzero(band)[0] for band in self.bank.T]
        first = np.array([span[0] if len(span) else 0 for span in spans])
        last = np.array([span[-1] + 1 if len(span) else 0 for span in spans])
        weights, taper, floor = np.ascontiguousarray(self.bank.T), self.window, self.floor
        buffer, spectrum = np.zeros(size, np.float32), np.zeros(size // 2 + 1, np.complex64)
        power, axes = np.zeros(size // 2 + 1, np.float32), np.array([0], np.uint64)

        @numba.njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
        def frames(x, out, buffer, spectrum, power, axes, taper, weights, first, last):  # type: ignore[no-untyped-def]
            for t in range(out.shape[0]):
                for i in range(window):
                    buffer[i] = x[t * hop + i] * taper[i]
                r2c(buffer, spectrum, axes, True, 1.0, 1)
                for k in range(power.size):
                    power[k] = spectrum[k].real ** 2 + spectrum[k].imag ** 2
                for f in range(count):
                    total = np.float32(0)
                    for k in range(first[f], last[f]):
                        total += power[k] * weights[f, k]
                    out[t, f] = np.log(max(total, floor))

        rest = (buffer, spectrum, power, axes, taper, weights, first, last)

        def run(x: np.ndarray) -> np.ndarray:
            out = np.empty(((len(x) - window) // hop + 1, count), np.float32)
            frames(x, out, *rest)
            return out

        self._run = run

    def offline(self, samples: np.ndarray) -> np.ndarray:
        """As the base says."""
        return self._run(samples)

    def hop(self, samples: np.ndarray) -> np.ndarray:
        """As the base says."""
        keep = self.recent.size - samples.size
        self.recent[:keep] = self.recent[samples.size :]
        self.recent[keep:] = samples
        return self._run(self.recent)[0]


class Librosa(Peer):
    """librosa.feature.melspectrogram, then a logarithm."""

    package = "librosa"

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__(spec)
        import librosa  # noqa: F401  # lazily loaded inside: not while the clock runs

    def _melspectrogram(self, samples: np.ndarray) -> np.ndarray:
        import librosa

        frames, mel = self.spec.frames, self.mel
        power = librosa.feature.melspectrogram(
            y=samples,
            sr=self.spec.rate,
            n_fft=frames.size,
            win_length=frames.window,
            hop_length=frames.hop,
            center=False,
            n_mels=mel.count,
            fmin=mel.low,
            fmax=mel.high or None,
        )
        return np.log(np.maximum(power, self.floor)).T

    def offline(self, samples: np.ndarray) -> np.ndarray:
        """As the base says; librosa centres a short window in its transform, so the recording is padded to agree."""
        before = (self.spec.frames.size - self.spec.frames.window) // 2
        after = self.spec.frames.size - self.spec.frames.window - before
        return self._melspectrogram(np.pad(samples, (before, after)))

    def hop(self, samples: np.ndarray) -> np.ndarray:
        """As the base says."""
        keep = self.recent.size - samples.size
        self.recent[:keep] = self.recent[samples.size :]
        self.recent[keep:] = samples
        return self.offline(self.recent)[0]


class KaldiNativeFbank(Peer):
    """kaldi-native-fbank's OnlineFbank from Python: samples in as a list, frames out one by one."""

    package = "kaldi-native-fbank"

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__(spec)
        self._stream = self._online()
        self._taken = 0

    def reference_spec(self) -> FrontEndSpec:
        """Kaldi's symmetric Hann window, HTK triangles over mel, and its floor."""
        data: dict[str, Any] = msgspec.to_builtins(self.spec)
        data["frames"] |= {"taper": "hann-symmetric"}
        data["bands"] |= {"scale": "htk", "slopes": "mel", "norm": "none"}
        data["scale"] = {"kind": "ln", "floor": float(np.finfo(np.float32).eps)}
        return parse(data)

    def _online(self) -> Any:
        import kaldi_native_fbank

        frames, mel = self.spec.frames, self.mel
        options = kaldi_native_fbank.FbankOptions()
        options.frame_opts.samp_freq = self.spec.rate
        options.frame_opts.frame_length_ms = 1000 * frames.window / self.spec.rate
        options.frame_opts.frame_shift_ms = 1000 * frames.hop / self.spec.rate
        options.frame_opts.dither = 0
        options.frame_opts.preemph_coeff = 0
        options.frame_opts.remove_dc_offset = False
        options.frame_opts.window_type = "hanning"
        options.mel_opts.num_bins = mel.count
        options.mel_opts.low_freq = mel.low
        options.mel_opts.high_freq = mel.high
        return kaldi_native_fbank.OnlineFbank(options)

    def offline(self, samples: np.ndarray) -> np.ndarray:
        """As the base says."""
        stream = self._online()
        stream.accept_waveform(self.spec.rate, samples.tolist())
        return np.stack([stream.get_frame(i) for i in range(stream.num_frames_ready)])

    def prepare(self, hop: np.ndarray) -> list[float]:
        """The binding takes a list."""
        listed: list[float] = hop.tolist()
        return listed

    def hop(self, samples: list[float]) -> np.ndarray:
        """As the base says. A frame is a view of memory that the library drops at the next hop."""
        if self._taken:
            self._stream.pop(1)
        self._stream.accept_waveform(self.spec.rate, samples)
        if self._stream.num_frames_ready <= self._taken:
            return np.zeros(0, np.float32)
        frame: np.ndarray = self._stream.get_frame(self._taken)
        self._taken += 1
        return frame


PEERS: dict[str, type[Peer]] = {
    peer.package: peer for peer in (Librosa, KaldiNativeFbank, Scipy, MklFft, Pyfftw, RocketFft)
}
