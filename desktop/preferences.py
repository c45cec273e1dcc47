"""The preferences joined with the running program's parts."""

from collections.abc import Callable
from fractions import Fraction

from msgspec.structs import replace

from desktop.exporting import export_folder
from desktop.parts import Parts
from desktop.presenters.preferences import PreferencesPresenter, Program, Wishes
from engine.generation import FAMILIES
from engine.timeline.effects import EFFECTS

NEEDS = {  # of the card, by engine.planning at 768 x 1408
    "flashvsr-1.0": "from 6 GB of GPU memory",
    "flashvsr-1.1": "from 6 GB of GPU memory",
}


def preferences(
    parts: Parts, set_theme: Callable[[str], object], set_still: Callable[[Fraction], object]
) -> PreferencesPresenter:
    """The presenter of the dialog, told of the card whenever more is known of it."""
    settings, engines = parts.settings, parts.engines
    used = {engine.family for effect in EFFECTS for engine in effect.engines}
    used.update(family for families in FAMILIES.values() for family in families)

    def set_wishes(wishes: Wishes) -> None:
        settings.change(neural=wishes.options, neural_on_cpu=wishes.on_processor)
        engines.look_at_card()
        engines.changed.emit()

    program = Program(
        window=parts.window,
        settings=settings,
        queue=parts.queue,
        cache=parts.folders.cache,
        cache_bytes=lambda: parts.states.cache_bytes,
        cache_cleared=parts.states.refresh,
        export_folder=lambda: export_folder(settings.value, parts.editor.path),
        set_theme=set_theme,
        set_still=set_still,
        wishes=lambda: Wishes(settings.value.neural, settings.value.neural_on_cpu),
        set_wishes=set_wishes,
        needs=lambda family: NEEDS.get(family, ""),
        is_used=lambda family: family in used,
    )
    presenter = PreferencesPresenter(program, parts.weights)

    def show() -> None:
        if engines.computer is not None:
            presenter.set_device(engines.computer)
        if engines.card is not None:
            presenter.set_device(replace(engines.card, details=""))  # its torch line says it
            presenter.set_torch(engines.card.torch)
            presenter.set_attention(engines.card.attention)

    engines.changed.connect(show)
    show()
    return presenter
