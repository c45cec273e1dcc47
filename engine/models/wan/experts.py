"""Wan 2.2's two experts: one for high noise, then one for low, alike but for their training.

Only what a file or its folder is called tells which is which, or a person.
"""

import re
from pathlib import Path

HIGH, LOW = "high", "low"
FIRST, SECOND = "transformer", "low"  # the experts among files; other models have only the first
ROLES = {FIRST: HIGH, SECOND: LOW}
TITLES = {HIGH: "high-noise expert", LOW: "low-noise expert"}

_NOISE = re.compile(r"(high|low)[ ._-]?noise", re.IGNORECASE)
_WORD = re.compile(r"(?<![a-z])(high|low)(?![a-z])", re.IGNORECASE)
_OF_2_2 = re.compile(r"wan[ ._-]?2[ ._-]?2|a14b", re.IGNORECASE)
ABOVE = 4  # folders up to the one that names a model of diffusers' in a cache of the hub


def is_pair(family: str) -> bool:
    """Whether a family of the library has two experts."""
    return family.startswith("wan2.2")


def expert_of(path: Path) -> str:
    """HIGH or LOW, by the name of a model or LoRA of Wan 2.2, else by its folder's; "" for others.

    `high_noise_model/`, `wan2.2_t2v_low_noise_14B_fp16`, `Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn`,
    `Wan2.2-T2V-A14B-Diffusers/transformer_2/`.
    """
    name, folder = path.name, path.parent.name
    if _OF_2_2.search(name) and (role := _only(_WORD.findall(name))):
        return role
    if role := _only(_NOISE.findall(name)) or _only(_NOISE.findall(folder)):
        return role
    if folder == "transformer_2":
        return LOW
    above = [one.name for one in path.parents[:ABOVE]]
    is_of_pair = any(_OF_2_2.search(one) and "5b" not in one.lower() for one in above)
    return HIGH if folder == "transformer" and is_of_pair else ""


def _only(words: list[str]) -> str:
    """What all of the words say."""
    said = {word.lower() for word in words}
    return said.pop() if len(said) == 1 else ""
