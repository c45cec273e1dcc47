"""Lines where a pen would draw them."""

from engine.filters.pixels import Field, blurred
from engine.filters.strokes import Run, along, paths


def line_field(grey: Field, run: Run, width: float) -> Field:
    """How much darker each pixel is than what lies around it, smoothed along the run.

    The flow-based difference of Gaussians: Kang et al. 2007, «Coherent line drawing», in the
    form of Winnemöller et al. 2012 (XDoG). Negative where a line belongs; about -0.1 to 0.1.
    """
    sigma = max(0.45, 0.42 * width)
    difference = blurred(grey, sigma) - blurred(grey, sigma * 1.6)
    return along(difference, paths(run, max(2.0, 1.6 * width), 3))
