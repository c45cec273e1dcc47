"""Names of Wan's tensors as diffusers has them, by rules of their own: tests hold ours to them."""

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

TO_DIFFUSERS = (  # in this order
    (r"^head\.modulation$", "scale_shift_table"),
    (r"^head\.head\.", "proj_out."),
    (r"\.modulation$", ".scale_shift_table"),
    (r"^time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"^time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"^time_projection\.1\.", "condition_embedder.time_proj."),
    (r"^text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"^text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"^img_emb\.emb_pos$", "condition_embedder.image_embedder.pos_embed"),
    (r"^img_emb\.proj\.0\.", "condition_embedder.image_embedder.norm1."),
    (r"^img_emb\.proj\.1\.", "condition_embedder.image_embedder.ff.net.0.proj."),
    (r"^img_emb\.proj\.3\.", "condition_embedder.image_embedder.ff.net.2."),
    (r"^img_emb\.proj\.4\.", "condition_embedder.image_embedder.norm2."),
    (r"\.norm3\.", ".norm2."),
    (r"\.ffn\.0\.", ".ffn.net.0.proj."),
    (r"\.ffn\.2\.", ".ffn.net.2."),
    (r"\.cross_attn\.k_img\.", ".attn2.add_k_proj."),
    (r"\.cross_attn\.v_img\.", ".attn2.add_v_proj."),
    (r"\.cross_attn\.norm_k_img\.", ".attn2.norm_added_k."),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"\.(attn[12])\.([qkv])\.", r".\1.to_\2."),
    (r"\.(attn[12])\.o\.", r".\1.to_out.0."),
)
VAE_TO_DIFFUSERS = (
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"^(\w+)\.conv1\.", r"\1.conv_in."),
    (r"^(\w+)\.head\.0\.", r"\1.norm_out."),
    (r"^(\w+)\.head\.2\.", r"\1.conv_out."),
    (r"^(\w+)\.middle\.0\.", r"\1.mid_block.resnets.0."),
    (r"^(\w+)\.middle\.1\.", r"\1.mid_block.attentions.0."),
    (r"^(\w+)\.middle\.2\.", r"\1.mid_block.resnets.1."),
    (r"^encoder\.downsamples\.", "encoder.down_blocks."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
)


def renamed(tensors: Mapping[str, T], rules: tuple[tuple[str, str], ...]) -> dict[str, T]:
    made = {}
    for name, shape in tensors.items():
        fresh = name
        for pattern, replacement in rules:
            fresh = re.sub(pattern, replacement, fresh)
        made[fresh] = shape
    return made


def vae_in_diffusers(tensors: Mapping[str, T]) -> dict[str, T]:
    def upsample(found: re.Match[str]) -> str:
        block, part = divmod(int(found[1]), 4)
        return f"decoder.up_blocks.{block}." + (
            "upsamplers.0." if part == 3 else f"resnets.{part}."
        )

    made = renamed(tensors, VAE_TO_DIFFUSERS)
    return {re.sub(r"^decoder\.upsamples\.(\d+)\.", upsample, n): s for n, s in made.items()}
