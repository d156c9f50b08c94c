"""AudioSet's embedding files, against messages that the protobuf library writes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import embeddings
from training.data.embeddings import TABLE, Embedding, _crc32c, dequantise, quantise, read

protobuf = pytest.importorskip("google.protobuf")


def messages() -> dict:
    """Classes of tf.SequenceExample and tf.Example, from a description of the published .proto file."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")

    def message(name: str, *fields: tuple, parent=None):
        made = (parent.nested_type if parent is not None else file.message_type).add(name=name)
        for number, (label, kind, type_name, repeated) in enumerate(fields, start=1):
            many = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            made.field.add(name=label, number=number, type=kind, type_name=type_name, label=many)
        return made

    message("BytesList", ("value", field.TYPE_BYTES, None, True))
    message("FloatList", ("value", field.TYPE_FLOAT, None, True))
    message("Int64List", ("value", field.TYPE_INT64, None, True))
    kinds = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    message("Feature", *((name, field.TYPE_MESSAGE, f".t.{kind}", False) for name, kind in kinds))
    message("FeatureList", ("feature", field.TYPE_MESSAGE, ".t.Feature", True))
    for name, entry, value in (("Features", "feature", "Feature"), ("FeatureLists", "feature_list", "FeatureList")):
        nested = "".join(part.title() for part in entry.split("_")) + "Entry"
        outer = message(name, (entry, field.TYPE_MESSAGE, f".t.{name}.{nested}", True))
        fields = ("key", field.TYPE_STRING, None, False), ("value", field.TYPE_MESSAGE, f".t.{value}", False)
        message(nested, *fields, parent=outer).options.map_entry = True
    parts = (("context", "Features"), ("feature_lists", "FeatureLists"))
    message("SequenceExample", *((name, field.TYPE_MESSAGE, f".t.{kind}", False) for name, kind in parts))
    message("Example", ("features", field.TYPE_MESSAGE, ".t.Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("SequenceExample", "Example")
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}")) for name in names}


MESSAGES = messages()


def example(video: str, start: float, labels: list[int], frames: np.ndarray) -> bytes:
    made = MESSAGES["SequenceExample"]()
    made.context.feature["video_id"].bytes_list.value.append(video.encode())
    made.context.feature["start_time_seconds"].float_list.value.append(start)
    made.context.feature["end_time_seconds"].float_list.value.append(start + 10)
    made.context.feature["labels"].int64_list.value.extend(labels)
    for frame in frames:
        made.feature_lists.feature_list["audio_embedding"].feature.add().bytes_list.value.append(frame.tobytes())
    return made.SerializeToString()


def checksum(data: bytes) -> bytes:
    crc = int(_crc32c(np.frombuffer(data, np.uint8), TABLE))
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + checksum(length) + message + checksum(message)


def frames(seed: int, count: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 128)).astype(np.uint8)


@pytest.fixture
def path(tmp_path):
    content = [example("--4gqARaEJE", 30.0, [300, 0, 12], frames(0)), example("zzzzzzzzzzz", 0.0, [5], frames(1, 3))]
    (tmp_path / "x.tfrecord").write_bytes(b"".join(map(record, content)))
    return tmp_path / "x.tfrecord"


def test_the_checksum_by_its_published_value():
    assert int(_crc32c(np.frombuffer(b"123456789", np.uint8), TABLE)) == 0xE3069283


def test_what_the_protobuf_library_wrote_is_read(path):
    first, second = read(path)
    assert (first.video, first.start, first.end, first.labels) == ("--4gqARaEJE", 30.0, 40.0, (0, 12, 300))
    assert np.array_equal(first.frames, frames(0))
    assert second.frames.shape == (3, 128)


@pytest.mark.parametrize("at", [3, 9, 40, -2])
def test_a_broken_or_cut_file_is_named(path, at):
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:at])
    with pytest.raises(ValueError, match=r"x\.tfrecord: expected a whole record [12], got a broken one"):
        list(read(path))
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"x\.tfrecord: expected a whole record [12], got a broken one"):
        list(read(path))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_a_message_that_is_none_is_refused_in_one_way(tmp_path_factory, message):
    path = tmp_path_factory.mktemp("e") / "x.tfrecord"
    path.write_bytes(record(message))
    with pytest.raises(ValueError, match="expected an embedding in record 1, got"):
        list(read(path))


def test_the_protobuf_library_reads_what_is_written(tmp_path):
    segments = [
        Embedding("--4gqARaEJE", 30.0, 40.0, (0, 12, 300), frames(0)),
        Embedding("zzzzzzzzzzz", 0.5, 3.5, (5,), frames(1, 3)),
    ]
    embeddings.write(tmp_path / "x.tfrecord", segments)
    for segment, (_, message) in zip(segments, embeddings.records(tmp_path / "x.tfrecord"), strict=True):
        made = MESSAGES["SequenceExample"].FromString(message)
        features = made.context.feature
        assert features["video_id"].bytes_list.value[0].decode() == segment.video
        assert list(features["labels"].int64_list.value) == list(segment.labels)
        assert (
            features["start_time_seconds"].float_list.value[0],
            features["end_time_seconds"].float_list.value[0],
        ) == (segment.start, segment.end)
        listed = made.feature_lists.feature_list["audio_embedding"].feature
        assert b"".join(f.bytes_list.value[0] for f in listed) == segment.frames.tobytes()


def test_a_record_is_found_again_by_its_place(path):
    first, second = read(path)
    assert first.at == 0
    assert np.array_equal(next(read(path, second.at)).frames, second.frames)


def test_the_mean_of_a_whole_video_is_read_from_an_example(tmp_path):
    made = MESSAGES["Example"]()
    values = np.linspace(-1, 1, 128, dtype=np.float32)
    made.features.feature["id"].bytes_list.value.append(b"abcd")
    made.features.feature["labels"].int64_list.value.extend([7, 3])
    made.features.feature["mean_audio"].float_list.value.extend(values.tolist())
    (tmp_path / "x.tfrecord").write_bytes(record(made.SerializeToString()))
    (found,) = read(tmp_path / "x.tfrecord")
    assert (found.video, found.labels) == ("abcd", (3, 7))
    assert np.array_equal(found.values, values[None])


def test_bytes_by_hand():
    """(x + 2) · 255 / 4, to the nearest whole number; a byte b is worth 4 b / 255 - 2."""
    assert quantise(np.array([-2.0, -1.0, 0.5, 1.0, 2.0], np.float32)).tolist() == [0, 64, 159, 191, 255]
    assert dequantise(np.array([0, 51, 255], np.uint8)) == pytest.approx([-2.0, -1.2, 2.0])


def test_a_missing_file_says_so():
    with pytest.raises(ValueError, match="expected a TFRecord file at nowhere, got nothing there"):
        list(embeddings.records(Path("nowhere")))


def test_a_round_trip_errs_by_half_a_step_at_most():
    values = np.linspace(-2, 2, 1001, dtype=np.float32)
    assert np.abs(dequantise(quantise(values)) - values).max() <= 4 / 255 / 2 + 1e-6
    assert quantise(np.array([-9, 9], np.float32)).tolist() == [0, 255]
    assert np.array_equal(quantise(dequantise(np.arange(256, dtype=np.uint8))), np.arange(256))
