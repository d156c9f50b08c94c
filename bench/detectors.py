"""What a user could pick instead of the runtime: the loops that people write by hand, around the same models.

Each takes a whole recording and gives scores; none decodes events, journals or publishes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from bench import report
from edge.blocks import Float32
from edge.errors import ConfigError
from edge.frontend.spec import Ln, Mel, Spectrum, Standardise
from edge.inference import store
from edge.inference.card import Card, Stateful, Window
from edge.inference.litert import import_interpreter
from edge.inference.model import choose

WINDOW_S, HOP_S = 1.0, 0.1


class SlidingWindow:
    """librosa and ONNX Runtime on a window of one second every 100 ms, all of it computed again each time.

    The network has the same weights: the file of the streaming model, its chunk widened to the window, its past zero.

    Parameters
    ----------
    folder
        Of a stateful model with an ONNX file, log-mel features and no lookahead.
    threads
        Threads of ONNX Runtime and of linear algebra; as the packages come where None.

    Raises
    ------
    ConfigError
        The model is not of that kind, or a package is missing.
    """

    NEEDS = ("librosa", "onnx", "onnxruntime", "threadpoolctl")

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.card = store.load_card(folder)
        self.threads = threads
        if not self.suits(self.card):
            raise ConfigError(
                f"{folder.name}: expected a stateful model with an ONNX file and log-mel features for the hand-written "
                "loop, got another kind"
            )
        spec = self.card.frontend
        self.spec = spec
        self.hop = round(HOP_S * spec.rate)
        self.window = round(WINDOW_S * spec.rate)
        self.frames = (self.window - spec.frames.window) // spec.hop + 1
        self._session = self._open(folder / choose(self.card, "onnx", "float32").name)
        self._past = {i.name: np.zeros(i.shape, np.float32) for i in self._session.get_inputs()}

    @classmethod
    def suits(cls, card: Card) -> bool:
        """Whether it can be done with such a model, here."""
        spec, stream = card.frontend, card.stream
        return (
            all(report.installed(name) for name in cls.NEEDS)
            and isinstance(stream, Stateful)
            and not (stream.delay or stream.position or stream.end or card.input.context or card.input.constants)
            and any(file.engine == "onnx" and file.precision == "float32" for file in card.files)
            and spec is not None
            and isinstance(spec.bands, Mel)
            and isinstance(spec.scale, Ln)
            and all(isinstance(stage, Standardise) for stage in spec.post)
            and not (spec.frames.centred or spec.frames.preemphasis)
        )

    def _open(self, path: Path) -> Any:
        import onnx
        import onnxruntime as ort

        graph = onnx.load(path)
        named = {value.name: value for value in [*graph.graph.input, *graph.graph.output]}
        for name in filter(None, (self.card.input.tensor, self.card.output.scores, self.card.output.embedding)):
            named[name].type.tensor_type.shape.dim[1].dim_value = self.frames
        del graph.graph.value_info[:]
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads or 0
        return ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def features(self, samples: Float32) -> Float32:
        """Features ``[T, F]`` of a window, the way of librosa's documentation."""
        import librosa

        frames, mel = self.spec.frames, self.spec.bands
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
            htk=mel.scale == "htk",
        )
        x = np.log(np.maximum(power, self.spec.scale.floor)).T
        for stage in self.spec.post:
            x = (x - np.float32(stage.mean)) / np.float32(stage.std)
        return np.asarray(x, np.float32)

    def score(self, window: Float32) -> Float32:
        """Scores ``[T, C]`` of one window that begins with silence."""
        feeds = self._past | {self.card.input.tensor: self.features(window)[np.newaxis]}
        return np.asarray(self._session.run([self.card.output.scores], feeds)[0][0])

    def __call__(self, samples: Float32) -> list[Float32]:
        """Scores of every window's last hop."""
        from threadpoolctl import threadpool_limits

        starts = range(0, len(samples) - self.window + 1, self.hop)
        with threadpool_limits(self.threads):
            return [self.score(samples[start : start + self.window])[-1] for start in starts]


class PlainLiteRt:
    """librosa's spectrogram and a bare LiteRT interpreter on the windows of a window model, such as BirdNET-STM32.

    Parameters
    ----------
    folder
        Of a model with a TFLite file that is fed windows of a linear magnitude spectrogram, ``[1, F, T, 1]``.
    """

    def __init__(self, folder: Path) -> None:
        card = store.load_card(folder)
        if not self.suits(card):
            raise ConfigError(
                f"{folder.name}: expected a window model with a TFLite file and a linear magnitude spectrogram, "
                "got another kind"
            )
        self.card, self.spec, self.stream = card, card.frontend, card.stream
        self._interpreter = import_interpreter()(
            model_path=os.fspath(folder / choose(card, "tflite").name), num_threads=1
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    @classmethod
    def suits(cls, card: Card) -> bool:
        """Whether it can be done with such a model, here."""
        spec = card.frontend
        return (
            all(report.installed(name) for name in ("librosa", "threadpoolctl"))
            and isinstance(card.stream, Window)
            and card.stream.normalise == "minmax"
            and any(file.engine == "tflite" for file in card.files)
            and spec is not None
            and isinstance(spec.bands, Spectrum)
            and not spec.post
            and card.input.layout == "BFTC"
        )

    def score(self, window: Float32) -> Float32:
        """Scores ``[C]`` of the samples of one window."""
        import librosa

        frames = self.spec.frames
        x = np.abs(librosa.stft(window, n_fft=frames.size, hop_length=frames.hop, center=True))
        x = x[:, : self.stream.length]
        x = (x - x.min()) / max(1e-10, float(x.max() - x.min()))
        self._interpreter.set_tensor(self._input, x[np.newaxis, :, :, np.newaxis].astype(np.float32))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output)[0])

    def __call__(self, samples: Float32) -> list[Float32]:
        """Scores of every window; linear algebra in one thread, as ours."""
        from threadpoolctl import threadpool_limits

        hop, size = self.stream.hop * self.spec.hop, (self.stream.length - 1) * self.spec.hop
        with threadpool_limits(1):
            return [self.score(samples[start : start + size]) for start in range(0, len(samples) - size + 1, hop)]
