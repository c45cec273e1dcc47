"""Tiny tokenizers of both published formats, out of one model that is trained here."""

import io
import itertools
import random
from functools import cache

WORDS = (
    *("a", "an", "the", "red", "blue", "fox", "cat", "runs", "jumps", "over", "under", "snow"),
    *("river", "camera", "slowly", "pans", "night", "day", "bright", "dark", "walking", "woman"),
    *("man", "street", "rain", "neon", "lights", "green", "field", "horse", "gallops", "cup"),
    *("红色", "狐狸", "奔跑", "雪地", "静态", "模糊", "最差", "质量", "手指", "画面"),
)


@cache
def spiece_model(size: int = 200, seed: int = 1) -> bytes:
    """A SentencePiece model of `size` pieces with UMT5's first three: padding, end, unknown."""
    from sentencepiece import SentencePieceTrainer

    draw = random.Random(seed)
    sentences = [" ".join(draw.choices(WORDS, k=draw.randint(3, 12))) + "." for _ in range(400)]
    marks = "".join(map(chr, itertools.chain(range(33, 127), map(ord, "éü…“”，。、"))))
    sentences += [f"{a}{b} {a}" for a, b in itertools.pairwise(marks)]
    made = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=made,
        vocab_size=size,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        pad_piece="<pad>",
        hard_vocab_limit=True,
        num_threads=1,
        minloglevel=2,
    )
    return made.getvalue()


@cache
def tokenizer_json(size: int = 200, seed: int = 1) -> str:
    """The same model as a tokenizer.json, which cuts and pads by itself, as some published do."""
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    model = spiece_model(size, seed)
    pieces = SentencePieceProcessor(model_proto=model)
    scored = [(pieces.id_to_piece(n), pieces.get_score(n)) for n in range(pieces.get_piece_size())]
    made = Tokenizer(models.Unigram(scored, 2, False))
    made.normalizer = normalizers.Precompiled(_field(_field(model, 3), 2))
    made.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    made.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    made.enable_truncation(8)
    made.enable_padding(pad_id=0, pad_token="<pad>", length=8)
    return str(made.to_str())


def _field(message: bytes, wanted: int) -> bytes:
    """The last field of a number, of bytes, in a protocol buffer's message."""
    found, at = b"", 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            varint()
            continue
        size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        if number == wanted:
            found = message[at : at + size]
        at += size
    return found
