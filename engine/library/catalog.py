"""The table of model families: what each is for, the files it needs, where they come from."""

import msgspec

from engine.models.wan.experts import HIGH, LOW

GB = 1_000_000_000
HUB = "https://huggingface.co/"
COMFY_2_2 = "Comfy-Org/Wan_2.2_ComfyUI_Repackaged"


class Kind(msgspec.Struct, frozen=True):
    """What a file can be recognised as. `title` stands in a sentence: «is Wan's VAE for 2.2»."""

    name: str
    title: str


class Source(msgspec.Struct, frozen=True):
    """Where a part is published. `size_bytes`: about; the server's word counts."""

    repository: str
    file: str
    page: str
    licence: str
    size_bytes: int
    sha256: str = ""
    label: str = ""  # where there is a choice: "fp8"

    @property
    def line(self) -> str:
        """For the person: «Wan-AI on Hugging Face · Apache-2.0»."""
        host = "Hugging Face" if self.page.startswith(HUB) else "GitHub"
        return f"{self.repository.partition('/')[0]} on {host} · {self.licence}"


class Part(msgspec.Struct, frozen=True):
    """`kinds`: what serves; `refuses`: what a person may take for it, told off by name.

    `needs` ends «This family needs …». `modes`: those that need it; none: all of them.
    `version`: of FlashVSR, where files of both versions look alike. `expert`: of Wan2.2, whose two
    look alike. `folder`: where it belongs in a folder of ours and in ComfyUI's.
    """

    name: str
    label: str
    kinds: tuple[str, ...]
    sources: tuple[Source, ...]
    folder: str
    needs: str = ""
    refuses: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    version: str = ""
    expert: str = ""

    @property
    def inside(self) -> str:
        """The label inside a sentence: «transformer», «VAE 2.1»."""
        is_word = self.label[1:2].islower()
        return self.label[0].lower() + self.label[1:] if is_word else self.label


class Family(msgspec.Struct, frozen=True):
    """`modes`: ways to run it that need different parts; the first is the usual one."""

    name: str
    label: str
    purpose: str
    parts: tuple[Part, ...]
    modes: tuple[str, ...] = ("",)


def _kinds(**titles: str) -> dict[str, Kind]:
    return {name: Kind(name, title) for name, title in titles.items()}


KINDS = _kinds(
    **{
        "flashvsr_transformer": "the transformer of FlashVSR",
        "flashvsr_projection": "the projection of FlashVSR",
        "flashvsr_decoder": "the tiny decoder of FlashVSR",
        "flashvsr_prompt": "the prompt of FlashVSR",
        "wan2.1_t2v_1.3b": "the transformer of Wan2.1 T2V 1.3B",
        "wan2.1_t2v_14b": "the transformer of Wan2.1 T2V 14B",
        "wan2.1_i2v_14b": "the transformer of Wan2.1 I2V 14B",
        "wan2.1_flf2v_14b": "the transformer of Wan2.1 FLF2V 14B",
        "wan2.1_vae": "Wan’s VAE for 2.1",
        "wan2.2_t2v_a14b": "an expert of Wan2.2 T2V A14B",  # told by name, not by its tensors
        "wan2.2_i2v_a14b": "an expert of Wan2.2 I2V A14B",
        "wan2.2_ti2v_5b": "the transformer of Wan2.2 TI2V 5B",
        "wan2.2_vae": "Wan’s VAE for 2.2",
        "taehv": "a tiny decoder of another video model",  # told by name from Wan's
        "wan_tiny_decoder": "the tiny decoder of Wan2.1",
        "wan_vace": "a VACE model of Wan",
        "wan_animate": "a Wan-Animate model",
        "umt5_xxl": "the text encoder UMT5-XXL",
        "clip_vit_h": "the image encoder CLIP ViT-H",
    }
)

V1_0, V1_1 = "1.0", "1.1"  # of FlashVSR; files of both look alike
WAN = "wan"  # a word for a transformer of Wan2.1 that may be taken for FlashVSR's or Wan2.2's
WORDS = (V1_0, V1_1, WAN, HIGH, LOW)  # what a person may say of a folder or file
# What is known of files that look alike: sha256 -> version. Those of 1.0 are not known.
FLASHVSR_HASHES = {
    "bd28180edcf3446c028e32fc6b731a80bf7e4da2ab4caac3186b9499964d37be": V1_1,
    "d6d011cdaaba6a52645086caa08fa04124e746f6ca568140a24007591142bfd2": V1_1,
}
_TCDECODER = "e224bdcf2f52745cbf4d393ff5374c2ba09e90285d5d19062d2bf63b915b6161"
_PROMPT = "4601107a11e4e11a936a6b79df579e54dbc99872132bf542151f0ffd65b4b1ef"


def _hub(repository: str, file: str, size_bytes: float, label: str = "") -> Source:
    return Source(repository, file, HUB + repository, "Apache-2.0", int(size_bytes), "", label)


def _comfy(file: str, size_bytes: float, label: str = "") -> Source:
    return _hub("Comfy-Org/Wan_2.1_ComfyUI_repackaged", f"split_files/{file}", size_bytes, label)


VAE = Part(
    "vae",
    "VAE 2.1",
    ("wan2.1_vae",),
    (
        _hub("Wan-AI/Wan2.1-T2V-1.3B", "Wan2.1_VAE.pth", 507_609_880),
        _comfy("vae/wan_2.1_vae.safetensors", 253_815_318, "bf16"),
    ),
    "vae",
    "2.1",
    ("wan2.2_vae",),
)
TEXT = Part(
    "text",
    "Text encoder UMT5-XXL",
    ("umt5_xxl",),
    (
        _comfy("text_encoders/umt5_xxl_fp16.safetensors", 11.4 * GB, "fp16"),
        _comfy("text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors", 6.7 * GB, "fp8 scaled"),
    ),
    "text_encoders",
    "UMT5-XXL",
)
IMAGE = Part(
    "image",
    "Image encoder CLIP ViT-H",
    ("clip_vit_h",),
    (_comfy("clip_vision/clip_vision_h.safetensors", 1.26 * GB),),
    "clip_vision",
    "CLIP ViT-H",
)


SHOWN = "previews"  # a run that is better to look at, and the same
PREVIEW = Part(
    "preview",
    "Tiny decoder",
    ("wan_tiny_decoder",),
    (
        Source(
            "madebyollin/taehv",
            "safetensors/taew2_1.safetensors",
            "https://github.com/madebyollin/taehv",
            "MIT",
            22_640_000,
        ),
    ),
    "vae_approx",
    modes=(SHOWN,),
)


def _transformer(kind: str, refuses: tuple[str, ...], *sources: Source) -> Part:
    others = ("wan2.2_ti2v_5b", "wan_vace", "wan_animate")
    folder = "diffusion_models"
    return Part("transformer", "Transformer", (kind,), sources, folder, "2.1", refuses + others)


def _experts(model: str) -> tuple[Part, Part]:
    """The two of Wan2.2: model is "t2v" or "i2v"."""

    def part(name: str, expert: str) -> Part:
        file = f"split_files/diffusion_models/wan2.2_{model}_{expert}_noise_14B"
        return Part(
            name,
            f"{expert.capitalize()}-noise expert",
            (f"wan2.2_{model}_a14b",),
            (
                _hub(COMFY_2_2, f"{file}_fp8_scaled.safetensors", 14.3 * GB, "fp8"),
                _hub(COMFY_2_2, f"{file}_fp16.safetensors", 28.6 * GB, "fp16"),
            ),
            "diffusion_models",
            f"the {expert}-noise expert of 2.2",
            ("wan2.2_ti2v_5b", "wan_vace", "wan_animate"),
            expert=expert,
        )

    return part("transformer", HIGH), part("low", LOW)


def _wan(name: str, label: str, purpose: str, *parts: Part) -> Family:
    return Family(name, label, purpose, (*parts, PREVIEW), ("", SHOWN))


def _flashvsr(version: str) -> Family:
    repository = "JunhaoZhuang/FlashVSR" + ("-v1.1" if version == V1_1 else "")
    known = version == V1_1

    def source(file: str, size_bytes: int, sha256: str = "") -> tuple[Source, ...]:
        page = HUB + repository
        return (Source(repository, file, page, "Apache-2.0", size_bytes, sha256),)

    hashes = list(FLASHVSR_HASHES) if known else ["", ""]
    prompt = Source(
        "OpenImagingLab/FlashVSR",
        "examples/WanVSR/prompt_tensor/posi_prompt.pth",
        "https://github.com/OpenImagingLab/FlashVSR",
        "Apache-2.0",
        4_195_500,
        _PROMPT,
    )
    folder = f"FlashVSR-v{version}"
    parts = (
        Part(
            "transformer",
            "Transformer",
            ("flashvsr_transformer",),
            source("diffusion_pytorch_model_streaming_dmd.safetensors", 5_676_070_424, hashes[0]),
            folder,
            version,
            version=version,
        ),
        Part(
            "projection",
            "LQ projection",
            ("flashvsr_projection",),
            source("LQ_proj_in.ckpt", 575_694_144, hashes[1]),
            folder,
            version,
            version=version,
        ),
        Part("prompt", "Prompt", ("flashvsr_prompt",), (prompt,), folder),
        Part(
            "decoder",
            "Tiny decoder",
            ("flashvsr_decoder",),
            source("TCDecoder.ckpt", 181_379_000, _TCDECODER if known else ""),
            folder,
            modes=("tiny",),
        ),
        Part(
            VAE.name, VAE.label, VAE.kinds, VAE.sources, folder, VAE.needs, VAE.refuses, ("full",)
        ),
    )
    return Family(f"flashvsr-{version}", f"FlashVSR {version}", "Upscale", parts, ("tiny", "full"))


FAMILIES = (
    _flashvsr(V1_1),
    _flashvsr(V1_0),
    _wan(
        "wan2.1-t2v-1.3b",
        "Wan2.1 T2V 1.3B",
        "Generate, Restyle",
        _transformer(
            "wan2.1_t2v_1.3b",
            (),
            _comfy("diffusion_models/wan2.1_t2v_1.3B_bf16.safetensors", 2.84 * GB, "bf16"),
            _hub(
                "Wan-AI/Wan2.1-T2V-1.3B", "diffusion_pytorch_model.safetensors", 5.68 * GB, "fp32"
            ),
        ),
        TEXT,
        VAE,
    ),
    _wan(
        "wan2.1-t2v-14b",
        "Wan2.1 T2V 14B",
        "Generate, Restyle",
        _transformer(
            "wan2.1_t2v_14b",
            ("wan2.2_t2v_a14b",),
            _comfy("diffusion_models/wan2.1_t2v_14B_fp8_scaled.safetensors", 14.3 * GB, "fp8"),
            _comfy("diffusion_models/wan2.1_t2v_14B_bf16.safetensors", 28.6 * GB, "bf16"),
        ),
        TEXT,
        VAE,
    ),
    _wan(
        "wan2.1-i2v-14b",
        "Wan2.1 I2V 14B",
        "Image to video",
        _transformer(
            "wan2.1_i2v_14b",
            ("wan2.2_i2v_a14b",),
            _comfy(
                "diffusion_models/wan2.1_i2v_480p_14B_fp8_scaled.safetensors",
                16.4 * GB,
                "480P fp8",
            ),
            _comfy("diffusion_models/wan2.1_i2v_480p_14B_bf16.safetensors", 32.8 * GB, "480P bf16"),
            _comfy(
                "diffusion_models/wan2.1_i2v_720p_14B_fp8_scaled.safetensors",
                16.4 * GB,
                "720P fp8",
            ),
            _comfy("diffusion_models/wan2.1_i2v_720p_14B_bf16.safetensors", 32.8 * GB, "720P bf16"),
        ),
        TEXT,
        IMAGE,
        VAE,
    ),
    _wan(
        "wan2.1-flf2v-14b",
        "Wan2.1 FLF2V 14B",
        "First and last picture to video",
        _transformer(
            "wan2.1_flf2v_14b",
            ("wan2.2_i2v_a14b",),
            _comfy(
                "diffusion_models/wan2.1_flf2v_720p_14B_fp16.safetensors", 32.8 * GB, "720P fp16"
            ),
        ),
        TEXT,
        IMAGE,
        VAE,
    ),
    _wan("wan2.2-t2v-a14b", "Wan2.2 T2V A14B", "Generate, Restyle", *_experts("t2v"), TEXT, VAE),
    _wan("wan2.2-i2v-a14b", "Wan2.2 I2V A14B", "Image to video", *_experts("i2v"), TEXT, VAE),
)
