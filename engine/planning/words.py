"""How sizes and times are said to a person."""

GIB = 2**30  # a card «of 12 GB» has 12 of these


def duration(seconds: float) -> str:
    """As a person would say it: «40 s», «1 min 40 s», «3 min», «2 h 10 min»."""
    if seconds < 55:
        return f"{max(1, round(seconds)) if seconds < 10 else round(seconds / 5) * 5} s"
    tens = round(seconds / 10)
    if tens < 18:
        minutes, rest = divmod(tens, 6)
        return f"{minutes} min {rest}0 s" if rest else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def gigabytes(size_bytes: int) -> str:
    """Of a card's memory, without the unit: «7.8»."""
    return f"{max(size_bytes / GIB, 0.1):.1f}"


def whole_gigabytes(size_bytes: int) -> str:
    """Of all of a card's memory, as it is sold: «12»."""
    return f"{size_bytes / GIB:.0f}"


def disk_gigabytes(size_bytes: int) -> str:
    """Of the computer's memory, in thousands as files are counted: «0.6»."""
    return f"{max(size_bytes / 1e9, 0.1):.1f}"


def need_on_card(peak_bytes: int, free_bytes: int, total_bytes: int, fits: bool) -> str:
    """«Peak 7.8 of 12 GB», or what is short; a card of 0 bytes is one whose size is not known."""
    peak, free = gigabytes(peak_bytes), gigabytes(free_bytes)
    if total_bytes == 0:
        return f"Peak {peak} GB" if fits else f"Needs {peak} GB, {free} GB free"
    total = whole_gigabytes(total_bytes)
    if fits:
        return f"Peak {peak} of {total} GB"
    if peak_bytes > total_bytes:
        return f"Needs {peak} of {total} GB"
    return f"Needs {peak} GB, {free} of {total} GB free"


def need_on_cpu(peak_bytes: int, free_bytes: int, fits: bool) -> str:
    """«0.6 GB», or what is short of the computer's memory."""
    peak = disk_gigabytes(peak_bytes)
    return f"{peak} GB" if fits else f"needs {peak} GB, {disk_gigabytes(free_bytes)} GB free"
