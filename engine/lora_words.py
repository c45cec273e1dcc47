"""A LoRA as a person writes it down: the file, and with how much strength."""

from pathlib import Path

from engine.errors import EffectError, WeightsError
from engine.jobs import LoraChoice


def lora_of(text: str) -> LoraChoice:
    """ "style.safetensors@0.8", or with a strength for each step: @1,1,0.5.

    Raises WeightsError for a file that is not there, EffectError for what is no strength.
    """
    path, at, strength = text.rpartition("@")
    if not at or Path(text).is_file():
        return LoraChoice(path=str(_there(text)))
    return LoraChoice(path=str(_there(path)), strength=numbers(strength))


def loras_of(text: str) -> tuple[LoraChoice, ...]:
    """Those of several lines."""
    return tuple(lora_of(line.strip()) for line in text.splitlines() if line.strip())


def numbers(text: str) -> tuple[float, ...]:
    """ "6,6,1". Raises EffectError."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise EffectError(f"«{text}» is no list of numbers.", "Write 6,6,1.") from None


def _there(path: str) -> Path:
    found = Path(path).expanduser().absolute()
    if not found.is_file():
        raise WeightsError(f"«{path}» is not there.", "Name a file that is.")
    return found
