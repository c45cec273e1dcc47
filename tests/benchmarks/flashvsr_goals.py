"""What FlashVSR is to reach on one H200."""

from tests.benchmarks.card_report import Goal, Suite

GOALS = {
    "fps_bf16": Goal("Frames per second, 768x1408, bf16", "at least 60"),
    "fps_fp8": Goal("Frames per second, 768x1408, fp8 linears", "at least 72"),
    "peak_gib": Goal("Peak memory, 768x1408, bf16, GiB", "at most 9"),
    "peak_long_gib": Goal("Peak memory over the long clip, GiB", "at most 9"),
    "growth_long_mib": Goal("Growth of the peak over the long clip, MiB", "0"),
    "sparse_tflops": Goal("Sparse kernel, TFLOP/s on kept blocks", "at least 420"),
    "video_share": Goal("Speed with video in and out, part of the model's alone", "at least 0.95"),
    "psnr_bf16": Goal("Fused bf16 against plain float32, latents, PSNR dB", "stated"),
    "reference_ratio": Goal("Time of the published code / ours, 768x1408", "at least 1.7"),
    "reference_psnr": Goal("Ours against the published code, latents, PSNR dB", "at least 49"),
}
SUITE = Suite("FlashVSR", "flashvsr.json", GOALS)
