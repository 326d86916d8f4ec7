"""Makes a tiny language model with random weights, for tests against real vLLM: about 0.6 million parameters.

Runs in the interpreter that has vLLM (torch, transformers and tokenizers come with it), not in Dyad's own:

    $DYAD_VLLM_PYTHON tests/tiny_model.py FOLDER [small]

What it says is noise, but a request takes every step that a request to a real model takes: 32,768 positions, a
byte-level BPE tokenizer trained on conversation text (the phrases of the scripted dyad), a chat template, an end-of-
turn token. The same seed makes the same files.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PHRASES = Path(__file__).resolve().parent.parent / "simulator" / "agents" / "scripted" / "phrases"
POSITIONS = 32_768
VOCABULARY = 4_096
SIZES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1},
    "small": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4,
              "num_key_value_heads": 2},
}  # fmt: skip
"""`small` (1.6 million parameters) computes long enough that the model, and not its server's Python, takes the time."""
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]

_BODY = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
_ALTERNATE = (
    "{% set talk = messages | rejectattr('role', 'equalto', 'system') | list %}{% for message in talk %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% endfor %}"
)
_USER_FIRST = (
    "{% set talk = messages | rejectattr('role', 'equalto', 'system') | list %}"
    "{% if not talk or talk[0].role != 'user' %}"
    "{{ raise_exception('The first message must come from the user') }}{% endif %}"
)
TEMPLATES = {
    "free": _BODY,
    "no_system": _NO_SYSTEM + _BODY,
    "alternating": _ALTERNATE + _BODY,
    "user_first": _USER_FIRST + _BODY,
    "strict": _NO_SYSTEM + _ALTERNATE + _BODY,
}
"""Chat templates by what they refuse; `free`, which the model carries, refuses nothing."""


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from _texts(value)
    elif isinstance(found, list):
        for value in found:
            yield from _texts(value)


def make_model(folder: Path, seed: int = 0, size: str = "tiny") -> None:
    """Write configuration, weights, tokenizer and chat template into `folder`."""
    import torch
    import yaml
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    phrases = [text for file in sorted(PHRASES.glob("*.yaml")) for text in _texts(yaml.safe_load(file.read_text()))]
    tokenizer.train_from_iterator(phrases, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>", model_max_length=POSITIONS
    )
    fast.chat_template = TEMPLATES["free"]
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(folder)

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        **SIZES[size],
        head_dim=32,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=False,
        bos_token_id=None,
        pad_token_id=fast.pad_token_id,
        eos_token_id=fast.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # so that some tokens are likelier than others: log-probabilities then say something
        model.lm_head.weight.normal_(0.0, 0.25)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": fast.eos_token_id}) + "\n")
    print(f"{sum(part.numel() for part in model.parameters()):,} parameters in {folder}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], *([size] for size in SIZES)):
        sys.exit(f"usage: tiny_model.py FOLDER [{'|'.join(SIZES)}]")
    make_model(Path(sys.argv[1]), size=sys.argv[2] if len(sys.argv) == 3 else "tiny")
