"""The protocol: every message comes through whole; nothing that is not one gets through."""

from fractions import Fraction
from io import BytesIO
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import WorkerError
from engine.jobs import (
    DownloadJob,
    EffectJob,
    ExportJob,
    ExportOptions,
    Job,
    JobResult,
    SelfTestJob,
)
from engine.library.families import reports
from engine.library.found import FolderFacts, Scan, Weights
from engine.timeline.model import EffectUse, new_project
from engine.timeline.time import TimeRange, decode_value, encode_value
from engine.worker import messages, wire
from engine.worker.messages import Event, Request
from tests.support.timelines import asset, facts, project, video
from tests.support.timelines import clip as clip_of

THIRD = Fraction(1, 3)
USE = EffectUse("u1", "restyle", "ink", {"strength": 0.5, "seed": 3, "on": True, "mode": "x"})
MADE = project([asset("a")], video(clip_of("a", 0, 2, THIRD, effects=(USE,))))
JOBS: tuple[Job, ...] = (
    SelfTestJob(steps=3),
    EffectJob(
        title="Restyle",
        subject="a",
        asset=asset("a"),
        uses=(USE,),
        wanted=TimeRange(THIRD, Fraction(2)),
        cache="/c",
    ),
    ExportJob(
        project=MADE, options=ExportOptions(rate=Fraction(30000, 1001)), output="o", cache="c"
    ),
    DownloadJob(family="flashvsr-1.1", parts=("prompt",), folder="/w", labels={"vae": "bf16"}),
)

HASH = "d6d011cdaaba6a52645086caa08fa04124e746f6ca568140a24007591142bfd2"
WEIGHTS = Weights("/w/a.ckpt", "/w", 3 << 40, "flashvsr_projection", "flashvsr", sha256=HASH)
FOLDERS = (FolderFacts("/w", "folder", 1, 3 << 40),)

REQUESTS: tuple[Request, ...] = (
    *(messages.Start(job=job) for job in JOBS),
    messages.Cancel(job="j"),
    messages.Probe(ask=1, path="/x"),
    messages.Strip(ask=1, path="/x", fingerprint="b2:1", times=(THIRD,), height=92, cache="/c"),
    messages.Peaks(ask=1, path="/x", fingerprint="b2:1", cache="/c"),
    messages.Show(project=MADE, sequence="main", cache="/c"),
    messages.ShowFrames(serial=2, times=(THIRD,), slots=(0,), width=64, height=36),
    messages.ShowSound(serial=2, start=THIRD, seconds=Fraction(1, 5)),
    messages.Freshness(ask=3),
    messages.TakePictures(
        ask=5,
        asset=asset("a"),
        uses=(USE,),
        wanted=TimeRange(THIRD, Fraction(2)),
        at=THIRD,
        count=5,
        cache="/c",
    ),
    messages.ScanWeights(ask=4, folders=("/w",), memory="/m", words={"/w": "1.1"}),
    messages.OpenRing(name="psm", slots=4, slot_bytes=100),
    messages.Shutdown(),
)

EVENTS: tuple[Event, ...] = (
    messages.Ready(protocol=1, role="media", pid=5),
    messages.Device(kind="cpu", name="x", total_bytes=1 << 40),
    messages.Started(job="j"),
    messages.Progress(job="j", stage="encode", done=1, total=2, stages=("effects", "encode")),
    messages.Preview(job="j", label="Frame 1 of 2", jpeg=b"\xff\xd8"),
    messages.Finished(job="j", result=JobResult(output="/o", duration=THIRD, keys=("k",))),
    messages.Failed(job="j", message="m", hint="h", details="d", kept="k"),
    messages.JobCancelled(job="j"),
    messages.Probed(ask=1, facts=facts(sound=True), fingerprint="b2:1"),
    messages.Taken(ask=5, path="/c/a.png", time=THIRD, width=2, height=2, jpeg=b"x"),
    messages.Refused(ask=1, message="m"),
    messages.Thumbnail(ask=1, time=THIRD, jpeg=b"x"),
    messages.Done(ask=1),
    messages.Waveform(ask=1, per_second=100, data=b"\x00\xff"),
    messages.FrameShown(serial=1, time=THIRD, slot=0, width=2, height=2, stride=8, stale=True),
    messages.FramesDropped(serial=1, slots=(1, 2)),
    messages.Samples(serial=1, start=THIRD, data=b"\x00" * 8),
    messages.Fresh(
        ask=1,
        clips=(
            messages.ClipFreshness(
                clip="c",
                spans=(messages.Span(start=THIRD, end=Fraction(1), fresh=True),),
                uses={"u": True},
            ),
        ),
    ),
    messages.Scanning(ask=4, stage="hash", done=5 << 40, total=6 << 40),
    messages.WeightsFound(
        ask=4,
        reports=tuple(reports(Scan(FOLDERS, (WEIGHTS,), ("/w",), {}, 0, 1))),
        folders=FOLDERS,
        problems={"/x": "no"},
        untold=("/w",),
    ),
    messages.Heartbeat(),
    messages.LogLine(text="x"),
    messages.Gone(expected=False, message="m"),
)


def reader(data: bytes, kind: Any) -> wire.MessageReader[Any]:
    return wire.MessageReader(BytesIO(data), kind)


@pytest.mark.parametrize("message", REQUESTS, ids=lambda one: type(one).__name__)
def test_request_comes_through(message: Request) -> None:
    assert reader(wire.pack(message), Request).read() == message


@pytest.mark.parametrize("message", EVENTS, ids=lambda one: type(one).__name__)
def test_event_comes_through(message: Event) -> None:
    assert reader(wire.pack(message), Event).read() == message


@pytest.mark.parametrize(("union", "tried"), [(Request, REQUESTS), (Event, EVENTS)])
def test_every_message_is_tried(union: Any, tried: tuple[Any, ...]) -> None:
    assert {type(one) for one in tried} == set(get_args(union))


def test_same_types_go_as_json() -> None:
    for message in (*REQUESTS, *EVENTS):
        kind: Any = Request if message in REQUESTS else Event
        data = msgspec.json.encode(message, enc_hook=encode_value)
        assert msgspec.json.decode(data, type=kind, dec_hook=decode_value) == message


def test_messages_follow_one_another() -> None:
    stream = reader(b"".join(map(wire.pack, EVENTS)), Event)
    assert tuple(stream.read() for _ in EVENTS) == EVENTS
    assert stream.read() is None


@pytest.mark.parametrize("cut", [1, 3, 4, 9])
def test_a_writer_that_died_in_a_message_is_the_end(cut: int) -> None:
    assert reader(wire.pack(messages.LogLine(text="what"))[:cut], Event).read() is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x80",  # an empty map: no tag
        msgspec.msgpack.encode({"type": "Nothing"}),
        msgspec.msgpack.encode({"type": "Progress", "job": "j"}),
        msgspec.msgpack.encode({"type": "Preview", "job": "j", "label": "x", "jpeg": 3}),
        msgspec.msgpack.encode(
            {"type": "Thumbnail", "ask": 1, "time": "1/0", "jpeg": b""},
        ),
        msgspec.msgpack.encode({"type": "Thumbnail", "ask": 1, "time": "x" * 99, "jpeg": b""}),
        b"\x91" * 5000,  # nested without end
    ],
)
def test_garbage_is_a_worker_error(body: bytes) -> None:
    with pytest.raises(WorkerError):
        reader(len(body).to_bytes(4, "big") + body, Event).read()


def test_a_length_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(WorkerError, match="wrong form"):
        reader((wire.LIMIT_BYTES + 1).to_bytes(4, "big"), Event).read()


def test_too_large_a_message_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LIMIT_BYTES", 1000)
    with pytest.raises(WorkerError, match="too large"):
        wire.pack(messages.LogLine(text="x" * 2000))


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_worker_error(data: bytes) -> None:
    stream = reader(data, Request)
    try:
        while stream.read() is not None:
            continue
    except WorkerError:
        return


@given(st.fractions())
def test_fractions_are_exact(value: Fraction) -> None:
    text = encode_value(value)
    if len(text) <= 64:
        assert decode_value(Fraction, text) == value


def test_a_whole_project_of_thousands_of_clips_fits() -> None:
    many = [clip_of("a", index, 1, effects=(USE,)) for index in range(3000)]
    show = messages.Show(project=project([asset("a")], video(*many)), sequence="main", cache="")
    assert len(wire.pack(show)) < wire.LIMIT_BYTES / 8
    assert new_project() != show.project
