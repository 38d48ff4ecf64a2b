"""Tokenizers of a second: byte-level BPE split as well-known models split, and some that are not.

The split patterns are those that Qwen2, Llama-3 and o200k publish; the vocabulary is our own.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers.pre_tokenizers import ByteLevel, Digits, Metaspace, Sequence, Split

from ehrlich.prompts.tokenizers import Tokenizer as Fast

_CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_BLANKS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_FIRST = r"[^\r\n\p{L}\p{N}]?"
QWEN2 = (
    rf"{_CONTRACTED}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_BLANKS}"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
O200K = (
    rf"{_FIRST}{_UPPER}*{_LOWER}+{_CONTRACTED}?|{_FIRST}{_UPPER}+{_LOWER}*{_CONTRACTED}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_BLANKS}"
)

# Tokens by which these families begin and end turns, think and call tools.
COMMANDS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>",
    "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "[INST]",
    "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>", "<unk>", "<pad>", "<bos>", "<start_of_turn>",
    "<end_of_turn>", "<\uff5cbegin▁of▁sentence\uff5c>", "<\uff5cUser\uff5c>",
    "<\uff5cAssistant\uff5c>", "[SYSTEM_PROMPT]", "[THINK]", "[TOOL_CALLS]", "◁think▷",
    "◁/think▷", "<seed:think>", "<|channel|>", "<extra_id_0>", "[gMASK]",
)  # fmt: skip

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

AFTER = ("qwen2", "llama3", "o200k")
BEFORE = ("gpt2", "smollm")
EXACT = ("prefixed", "metaspace", "unsplit", "stripping")


def _split(pattern: str) -> Any:
    bytes_only = ByteLevel(add_prefix_space=False, use_regex=False)
    return Sequence([Split(Regex(pattern), behavior="isolated"), bytes_only])


def _pre_tokenizer(style: str) -> Any:
    gpt2 = ByteLevel(add_prefix_space=False, use_regex=True)
    return {
        "qwen2": _split(QWEN2),
        "llama3": _split(LLAMA3),
        "o200k": _split(O200K),
        "gpt2": gpt2,
        "smollm": Sequence([Digits(individual_digits=True), gpt2]),
        "prefixed": ByteLevel(add_prefix_space=True, use_regex=True),
        "metaspace": Metaspace(),
        "unsplit": ByteLevel(add_prefix_space=False, use_regex=False),
        "stripping": _split(QWEN2),
    }[style]


def _texts() -> list[str]:
    """Sections with line breaks, tables and numbers, so that merges at their edges are learnt."""
    items = ("Potassium", "Heart rate", "White Blood Cells", "it's", "Creatinine", "mg/dL")
    return [
        f"## Laboratory [21{n % 90:02d}-0{n % 9 + 1}-01 10:00:00]\n"
        f"| Item | Value |\n| --- | --- |\n| {items[n % 6]} | {n * 37 % 1000 / 10} |\n\n"
        f"## Note [2150-01-01 10:00:00]\nThe {items[n % 6]} was {n}.  So it's:\n\n\n- yes\n- no\n\n"
        for n in range(400)
    ]


@cache
def small_tokenizer(style: str) -> Fast:
    """A tokenizer of transformers in one of the styles, with a template and every command."""
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    if style in ("qwen2", "o200k"):
        backend.normalizer = normalizers.NFC()
    if style == "stripping":
        backend.normalizer = normalizers.Strip()
    backend.pre_tokenizer = _pre_tokenizer(style)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(_texts(), trainer)
    backend.add_tokens([AddedToken(token, normalized=False) for token in COMMANDS])
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    return cast(Fast, tokenizer)
