"""Small random models of many architectures, by the way they are scored."""

from typing import Any

import torch
import transformers

VOCABULARY = 97
WINDOW = 8  # far shorter than the contexts of the tests

COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MIXED = {
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention"],
}
NEOX = {key: value for key, value in COMMON.items() if key != "num_key_value_heads"}
GPT2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 2}

TREE: dict[str, Any] = {
    "llama": lambda: transformers.LlamaConfig(**COMMON),
    "mistral": lambda: transformers.MistralConfig(**COMMON, sliding_window=WINDOW),
    "gemma": lambda: transformers.GemmaConfig(**COMMON, head_dim=8),
    # Soft caps low enough to bend the results.
    "gemma2": lambda: transformers.Gemma2Config(
        **COMMON, **MIXED, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "gemma3": lambda: transformers.Gemma3TextConfig(**COMMON, **MIXED),
    "olmo": lambda: transformers.OlmoConfig(**COMMON),
    "qwen2": lambda: transformers.Qwen2Config(**COMMON),
    "qwen2-window": lambda: transformers.Qwen2Config(
        **COMMON, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "gpt-neox": lambda: transformers.GPTNeoXConfig(**NEOX),
    "gpt2": lambda: transformers.GPT2Config(**GPT2),
    # Three that scale their logits: the first divides by its number, the others multiply by theirs.
    "granite": lambda: transformers.GraniteConfig(**COMMON, logits_scaling=4.0),
    "hyperclovax": lambda: transformers.HyperCLOVAXConfig(**COMMON, logits_scaling=0.25),
    "cohere": lambda: transformers.CohereConfig(**COMMON, logit_scale=0.25),
    # Its forward calls the decoder in its base model; projections of hidden states at both ends.
    "opt": lambda: transformers.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=16,
        do_layer_norm_before=False,
    ),
    # Hands on what its body says of its experts.
    "mixtral": lambda: transformers.MixtralConfig(
        **COMMON, num_local_experts=4, output_router_logits=True
    ),
}
PLAIN: dict[str, Any] = {
    "bloom": lambda: transformers.BloomConfig(
        vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4
    ),
    "mpt": lambda: transformers.MptConfig(vocab_size=VOCABULARY, d_model=32, n_layers=2, n_heads=4),
    "falcon-alibi": lambda: transformers.FalconConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        alibi=True,
    ),
    "mamba": lambda: transformers.MambaConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8
    ),
}


def tiny(config: Any) -> Any:
    """A random model whose weights are large enough that every token matters."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return model
