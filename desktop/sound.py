"""Sound output: blocks of samples in, loudspeaker out. QtMultimedia is loaded at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QIODevice, QObject, QTimer

if TYPE_CHECKING:
    from PySide6.QtMultimedia import QAudioSink

RATE = 48_000
FRAME_BYTES = 8  # stereo float32


class SoundOutput(QObject):
    """Plays what is fed; silent and harmless where there is no device."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._sink: QAudioSink | None = None
        self._device: QIODevice | None = None
        self._waiting = bytearray()
        self._volume = 1.0
        self._timer = QTimer(self)
        self._timer.setInterval(20)
        self._timer.timeout.connect(self._push)

    def start(self) -> bool:
        """Opens the device; False where there is none."""
        from PySide6.QtMultimedia import QAudioFormat, QAudioSink, QMediaDevices

        self.stop()
        device = QMediaDevices.defaultAudioOutput()
        if device.isNull():
            return False
        layout = QAudioFormat()
        layout.setSampleRate(RATE)
        layout.setChannelCount(2)
        layout.setSampleFormat(QAudioFormat.SampleFormat.Float)
        if not device.isFormatSupported(layout):
            return False
        self._sink = QAudioSink(device, layout, self)
        self._sink.setBufferSize(RATE * FRAME_BYTES // 5)
        self._sink.setVolume(self._volume)
        self._device = self._sink.start()
        self._timer.start()
        return True

    def stop(self) -> None:
        """Silence at once; what waits is dropped."""
        self._timer.stop()
        self._waiting.clear()
        if self._sink is not None:
            self._sink.reset()
            self._sink.stop()
            self._sink.deleteLater()
            self._sink = None
            self._device = None

    def feed(self, samples: bytes | bytearray) -> None:
        """Adds interleaved stereo float32 at 48 kHz behind what waits."""
        self._waiting += samples

    def set_volume(self, volume: float) -> None:
        """Linear, 0 to 1."""
        self._volume = volume
        if self._sink is not None:
            self._sink.setVolume(volume)

    def _push(self) -> None:
        if self._sink is None or self._device is None or not self._waiting:
            return
        count = min(self._sink.bytesFree(), len(self._waiting)) // FRAME_BYTES * FRAME_BYTES
        if count > 0:
            written = self._device.write(QByteArray(bytes(self._waiting[:count])))
            del self._waiting[: max(0, written)]
