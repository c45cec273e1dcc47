"""What Wan 2.1 is to reach on one H200."""

from tests.benchmarks.card_report import Goal, Suite

GOALS = {
    "small_bf16": Goal("DiT step, 1.3B T2V 480p, diffusers eager / ours, bf16", "at least 1.2"),
    "small_fp8": Goal("DiT step, 1.3B T2V 480p, diffusers eager / ours, 8-bit", "at least 1.6"),
    "i2v_bf16": Goal("DiT step, 14B I2V 480p, diffusers eager / ours, bf16", "at least 1.2"),
    "i2v_fp8": Goal("DiT step, 14B I2V 480p, diffusers eager / ours, 8-bit", "at least 1.6"),
    "i2v_steps_seconds": Goal("14B I2V 480p, fp8 linears: 40 measured steps, s", "at most 180"),
    "i2v_run_seconds": Goal("14B I2V 480p, fp8 linears: a run of 40 steps, s", "at most 180"),
    "few_seconds": Goal("1.3B 480p, four steps, prompt to frames, s", "at most 3.0"),
    "decode": Goal("VAE decode, 480p, plain decoder / ours, bf16", "at least 2.4"),
    "decode_last": Goal("The same, the plain decoder in channels last", "stated"),
    "decode_whole": Goal("VAE decode, 720p, plain decoder / ours, bf16", "at least 2.4"),
    "swap_percent": Goal("20 blocks swapped, 14B I2V 480p, a pass longer by, %", "at most 10"),
    "start_seconds": Goal("Second job on a loaded model, start to first block, s", "at most 0.1"),
    "error_fp32": Goal("Transformer against diffusers, float32, relative", "at most 1e-4"),
    "error_vae_fp32": Goal("VAE decode against diffusers, float32, relative", "at most 1e-4"),
    "error_bf16": Goal("Our bf16 error / the one of diffusers, against float32", "at most 1"),
}
SUITE = Suite("Wan2.1", "wan.json", GOALS)
