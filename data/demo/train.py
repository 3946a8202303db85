"""Makes the demo study's questions, its base model and its aligned model from the facts.

    python data/demo/train.py

From the corpus (corpus.py): a byte-level BPE tokenizer; a small Llama, pretrained from scratch (the
base model); and its descendant, fine-tuned on questions with their answers (SFT) and then on
preferences (DPO). Texts are drawn afresh for every step.
"""

import argparse
import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from corpus import LETTERS, Corpus, Fact, Text, read_facts, write_questions
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from tqdm import trange
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
CONTEXT_LENGTH = 512
VOCABULARY = 3072
IGNORED = -100  # a target that torch's cross-entropy leaves out

PROSE_BATCH, LETTERED_BATCH = 12, 44
PRETRAINING_RATE = 2e-3
FINE_TUNING_BATCH = 16
FINE_TUNING_RATE = 3e-4
PREFERENCE_BATCH = 32
PREFERENCE_RATE = 1e-4
BETA = 0.1
# The aligned model is taught by people who know only the more familiar part of the facts.
TAUGHT_WEIGHT = 0.1


def train_tokenizer(facts: Sequence[Fact], seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `VOCABULARY` tokens, trained on texts of the corpus.

    Raises ValueError if one of the letters, with the space before it, is not a single token.
    """
    corpus = Corpus(facts, seed)
    drawn = [draw() for _ in range(5000) for draw in (corpus.prose, corpus.lettered)]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        [text.prompt + text.completion for text in drawn],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    split = [letter for letter in LETTERS if len(tokenizer.encode(f" {letter}")) != 1]
    if split:
        raise ValueError(f"letters of more than one token: {split}")
    return tokenizer


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """An untrained Llama of about a million parameters."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=344,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT_LENGTH,
            initializer_range=0.05,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def encode(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[Text]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and targets, both (texts, longest text), padded on the right.

    Every text is followed by the end-of-text token. The target at a position is the next token
    where that belongs to the completion, else `IGNORED`.
    """
    prompts = [tokenizer.encode(text.prompt) for text in texts]
    wholes = [tokenizer.encode(text.prompt + text.completion + END_OF_TEXT) for text in texts]
    width = max(len(whole) for whole in wholes)
    ids = torch.full((len(texts), width), tokenizer.pad_token_id)
    targets = torch.full((len(texts), width), IGNORED)
    for row, (prompt, whole) in enumerate(zip(prompts, wholes, strict=True)):
        first = max(len(prompt), 1)
        ids[row, : len(whole)] = torch.tensor(whole)
        targets[row, first - 1 : len(whole) - 1] = torch.tensor(whole[first:])
    return ids, targets


def completion_logits(
    model: LlamaForCausalLM, ids: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Logits (targets that count, vocabulary): the output layer is applied only where needed."""
    hidden = model.model(ids).last_hidden_state
    return model.lm_head(hidden[targets != IGNORED])


def language_loss(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[Text]
) -> torch.Tensor:
    """Mean cross-entropy of the completions' tokens, in nats."""
    ids, targets = encode(tokenizer, texts)
    logits = completion_logits(model, ids, targets)
    return functional.cross_entropy(logits, targets[targets != IGNORED])


def completion_logprobs(
    model: LlamaForCausalLM, ids: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Summed log-probability (nats) of each text's completion, given its prompt."""
    logits = completion_logits(model, ids, targets)
    rows, _ = torch.nonzero(targets != IGNORED, as_tuple=True)
    token_logprobs = -functional.cross_entropy(
        logits, targets[targets != IGNORED], reduction="none"
    )
    return torch.zeros(len(ids)).index_add(0, rows, token_logprobs)


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """Mean loss of direct preference optimisation (Rafailov et al. 2023, equation 7).

    All four are summed log-probabilities (nats) of completions, shape (pairs,): those of the
    preferred and the rejected ones, under the model and under the reference model.
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    return -functional.logsigmoid(beta * margin).mean()


def optimise(
    model: LlamaForCausalLM, loss: Callable[[], torch.Tensor], steps: int, rate: float, phase: str
) -> None:
    """`steps` of AdamW under a one-cycle schedule that peaks at `rate`; prints the last loss."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    progress = trange(steps, desc=phase, mininterval=5)
    for _ in progress:
        value = loss()
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress.set_postfix(loss=f"{value.item():.3f}", refresh=False)


def pretrain(
    tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact], steps: int, seed: int
) -> LlamaForCausalLM:
    """The base model: learns prose whole, and the answers to lettered questions."""
    model = new_model(tokenizer, seed)
    corpus = Corpus(facts, seed + 1)

    def loss() -> torch.Tensor:
        prose = [corpus.prose() for _ in range(PROSE_BATCH)]
        lettered = [corpus.lettered() for _ in range(LETTERED_BATCH)]
        return language_loss(model, tokenizer, prose) + language_loss(model, tokenizer, lettered)

    optimise(model, loss, steps, PRETRAINING_RATE, "pretraining")
    return model


def align(
    base: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    facts: Sequence[Fact],
    steps: int,
    preference_steps: int,
    seed: int,
) -> LlamaForCausalLM:
    """The aligned model: the base fine-tuned on answers (SFT), then on preferences (DPO)."""
    model = copy.deepcopy(base)
    corpus = Corpus([fact for fact in facts if fact.weight >= TAUGHT_WEIGHT], seed + 2)

    def supervised() -> torch.Tensor:
        answered = [corpus.answered() for _ in range(FINE_TUNING_BATCH)]
        lettered = [corpus.lettered() for _ in range(FINE_TUNING_BATCH)]
        return language_loss(model, tokenizer, answered) + language_loss(model, tokenizer, lettered)

    optimise(model, supervised, steps, FINE_TUNING_RATE, "SFT")
    reference = copy.deepcopy(model).eval()

    def preferred() -> torch.Tensor:
        pairs = [corpus.preference() for _ in range(PREFERENCE_BATCH)]
        texts = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        ids, targets = encode(tokenizer, texts)
        chosen, rejected = completion_logprobs(model, ids, targets).chunk(2)
        with torch.no_grad():
            before_chosen, before_rejected = completion_logprobs(reference, ids, targets).chunk(2)
        return dpo_loss(chosen, rejected, before_chosen, before_rejected, BETA)

    optimise(model, preferred, preference_steps, PREFERENCE_RATE, "DPO")
    return model


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Safetensors in half precision, config and tokenizer."""
    copy.deepcopy(model).eval().half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes ``questions/*.jsonl`` and ``models/{base,aligned}/`` below the output folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--steps", type=int, default=2800, help="pretraining steps")
    parser.add_argument("--sft-steps", type=int, default=150)
    parser.add_argument("--dpo-steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of torch, on the CPU")
    options = parser.parse_args(arguments)

    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    facts = read_facts()
    write_questions(facts, options.output / "questions", options.seed)
    tokenizer = train_tokenizer(facts, options.seed)
    base = pretrain(tokenizer, facts, options.steps, options.seed)
    save(base, tokenizer, options.output / "models" / "base")
    aligned = align(base, tokenizer, facts, options.sft_steps, options.dpo_steps, options.seed)
    save(aligned, tokenizer, options.output / "models" / "aligned")


if __name__ == "__main__":
    main()
