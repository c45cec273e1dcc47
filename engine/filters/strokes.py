"""Which way the shapes of a picture run, and smoothing that goes along with them."""

from dataclasses import dataclass

import cv2
import numpy as np

from engine.filters.pixels import Field, blurred, enlarged, grid, sampled, shrunk

SECTORS = 8  # that a Kuwahara filter looks into


@dataclass(frozen=True)
class Run:
    """The direction along edges, per pixel: unit vector (x, y), and `firmness` 0 (none) to 1."""

    x: Field
    y: Field
    firmness: Field


def run_of(grey: Field, sigma: float) -> Run:
    """The run of the shapes in (H, W) brightness, agreed on within about `sigma` pixels.

    The smoothed structure tensor: Brox et al. 2006, «Nonlinear structure tensors»; its smaller
    eigenvector lies along the edge.
    """
    dx = np.asarray(cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1 / 32), np.float32)
    dy = np.asarray(cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1 / 32), np.float32)
    height, width = grey.shape
    raw = np.dstack((dx * dx, dy * dy, dx * dy))
    # Where nothing near has a direction, what lies farther off gives one: long calm strokes.
    small = shrunk(raw, max(1, width // 4), max(1, height // 4))
    far = enlarged(blurred(small, sigma * 1.8), width, height, smooth=False)
    tensor = blurred(raw, sigma) + np.float32(0.2) * far
    xx, yy, xy = tensor[:, :, 0], tensor[:, :, 1], tensor[:, :, 2]
    spread = np.sqrt(np.square(xx - yy) + 4 * np.square(xy))
    angle = np.float32(0.5) * np.arctan2(2 * xy, xx - yy) + np.float32(np.pi / 2)
    firmness = spread / (xx + yy + np.float32(2e-5))
    return Run(np.cos(angle), np.sin(angle), firmness.astype(np.float32))


def paths(run: Run, length: float, steps: int) -> list[tuple[Field, Field]]:
    """Positions along the run through each pixel, `steps` to either side, `length` pixels far."""
    height, width = run.x.shape
    home = grid(width, height)
    field = np.dstack((run.x, run.y))
    stride = np.float32(length / steps)
    result = [home]
    for sign in (1.0, -1.0):
        x, y = home
        heading_x, heading_y = run.x * np.float32(sign), run.y * np.float32(sign)
        for _ in range(steps):
            x, y = x + heading_x * stride, y + heading_y * stride
            result.append((x, y))
            there = sampled(field, x, y)
            turned = np.where(there[..., 0] * heading_x + there[..., 1] * heading_y < 0, -1, 1)
            turned = turned.astype(np.float32)
            heading_x, heading_y = there[..., 0] * turned, there[..., 1] * turned
    return result


def along(field: Field, ways: list[tuple[Field, Field]]) -> Field:
    """The mean of `field` over the paths: line integral convolution (Cabral and Leedom 1993)."""
    total = field.copy()
    for x, y in ways[1:]:
        total += sampled(field, x, y)
    total *= np.float32(1 / len(ways))
    return total


def brushed(rgb: Field, run: Run, radius: float, reach: float) -> Field:
    """An anisotropic Kuwahara filter: each pixel takes the calmest of the patches around it.

    Kyprianidis et al. 2009, «Image and video abstraction by anisotropic Kuwahara filtering»,
    with the eight sectors of the ellipse stood for by eight blurred patches. `reach`: how much
    longer the ellipse is along the run.
    """
    height, width = rgb.shape[:2]
    sigma = max(0.6, radius * 0.42)
    mean = blurred(rgb, sigma)
    variance = (blurred(rgb * rgb, sigma) - mean * mean).sum(axis=2, dtype=np.float32)
    patches = np.dstack((mean, np.maximum(variance, 0)))
    x, y = grid(width, height)
    stretch = 1 + np.float32(reach) * run.firmness
    long_x, long_y = run.x * stretch * np.float32(radius), run.y * stretch * np.float32(radius)
    wide_x, wide_y = -run.y / stretch * np.float32(radius), run.x / stretch * np.float32(radius)
    total = np.zeros_like(patches)
    for sector in range(SECTORS):
        turn = 2 * np.pi * sector / SECTORS
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        patch = sampled(patches, x + c * long_x + s * wide_x, y + c * long_y + s * wide_y)
        weight = 1 / np.square(np.float32(2e-4) + np.maximum(patch[:, :, 3], 0))
        patch[:, :, 3] = 1
        cv2.accumulateProduct(patch, cv2.merge((weight,) * 4), total)
    return np.asarray(total[:, :, :3] / total[:, :, 3:], np.float32)
