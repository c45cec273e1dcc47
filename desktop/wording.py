"""Numbers as people read them."""


def own_version() -> str:
    """The program's version; "" where it runs without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("reelwright")
    except PackageNotFoundError:
        return ""


def duration_text(seconds: float) -> str:
    """ "1 min 40 s", "8 s"."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size_text(size: int) -> str:
    """ "7.6 MB", "312 kB"."""
    if size >= 1_000_000_000:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{max(1, round(size / 1000))} kB"
