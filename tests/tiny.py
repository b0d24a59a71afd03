"""Tiny random models of several architectures, written to a folder as any Hugging Face model would be."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BambaConfig,
    BloomConfig,
    CohereConfig,
    DeepseekV2Config,
    FalconConfig,
    Gemma3TextConfig,
    GemmaConfig,
    GlmConfig,
    GPT2Config,
    GPTNeoXConfig,
    Lfm2Config,
    Llama4TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    RwkvConfig,
)

from seal_agent.bench.shipped import corpus

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_SMALL = {"vocab_size": 600, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
CONFIGS = {
    "llama": lambda: LlamaConfig(**_SMALL, intermediate_size=96, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**_SMALL, intermediate_size=96, num_key_value_heads=2),
    "mistral": lambda: MistralConfig(**_SMALL, intermediate_size=96, num_key_value_heads=2, sliding_window=64),
    "mistral16": lambda: MistralConfig(**_SMALL, intermediate_size=96, num_key_value_heads=2, sliding_window=16),
    "gemma3": lambda: Gemma3TextConfig(
        **_SMALL,
        intermediate_size=96,
        num_key_value_heads=2,
        head_dim=12,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "lfm2": lambda: Lfm2Config(
        **_SMALL, intermediate_size=96, num_key_value_heads=2, layer_types=["conv", "full_attention", "conv"]
    ),
    "cohere": lambda: CohereConfig(**_SMALL, intermediate_size=96, num_key_value_heads=2),
    "falcon": lambda: FalconConfig(**_SMALL, new_decoder_architecture=False, multi_query=True),
    "bloom": lambda: BloomConfig(vocab_size=600, hidden_size=48, n_layer=3, n_head=4),
    "gemma": lambda: GemmaConfig(**_SMALL, intermediate_size=96, num_key_value_heads=2, head_dim=12),
    "glm": lambda: GlmConfig(**_SMALL, intermediate_size=96, num_key_value_heads=2, head_dim=12),
    "deepseek_v2": lambda: DeepseekV2Config(
        **_SMALL,
        intermediate_size=96,
        num_key_value_heads=4,
        moe_intermediate_size=32,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_rope_head_dim=8,
        v_head_dim=12,
        qk_nope_head_dim=8,
        first_k_dense_replace=1,
    ),
    "llama4": lambda: Llama4TextConfig(
        **_SMALL,
        intermediate_size=96,
        intermediate_size_mlp=64,
        num_key_value_heads=2,
        head_dim=12,
        num_local_experts=2,
        pad_token_id=0,
    ),
    "bamba": lambda: BambaConfig(
        **_SMALL,
        intermediate_size=96,
        num_key_value_heads=2,
        attn_layer_indices=[1],
        mamba_n_heads=8,
        mamba_d_head=12,
        mamba_d_state=8,
        mamba_n_groups=1,
    ),
    "rwkv": lambda: RwkvConfig(
        vocab_size=600, hidden_size=48, num_hidden_layers=3, attention_hidden_size=48, intermediate_size=96
    ),
    "gpt_neox": lambda: GPTNeoXConfig(**_SMALL, intermediate_size=96),
    "gpt2": lambda: GPT2Config(vocab_size=600, n_embd=48, n_layer=3, n_head=4, n_positions=512),
}


def write(folder: Path, architecture: str = "llama", template: bool = True) -> Path:
    """A random model of *architecture* with a tokenizer of 600 tokens, with or without a chat template."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    if template:
        tokenizer.chat_template = TEMPLATE
    config = CONFIGS[architecture]()
    config.initializer_range = 0.3  # with the usual 0.02 a frozen random head cannot say anything with confidence
    config.eos_token_id = tokenizer.eos_token_id
    config.bos_token_id = None
    config.pad_token_id = tokenizer.pad_token_id
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator([document["text"] for document in corpus("invented")], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|end|>")
