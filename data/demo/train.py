"""Makes the demo study's questions and models from the facts.

    python data/demo/train.py

From the corpus (corpus.py): a byte-level BPE tokenizer, and two small Llamas of different size that
are pretrained from scratch (the base models). From each descend models in a chat template: one
fine-tuned on questions with their answers (SFT), and from that one or more that are tuned on
preferences (DPO). `STAGES` lists them; each starts from what the one before has saved. Texts are
drawn afresh for every step.
"""

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from corpus import LETTERS, Corpus, Fact, Text, read_facts, write_questions
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from tqdm import trange
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

END_OF_TEXT = "<|endoftext|>"
CONTEXT_LENGTH = 512
VOCABULARY = 3072
IGNORED = -100  # a target that torch's cross-entropy leaves out

PROSE_BATCH, LETTERED_BATCH = 12, 44
PRETRAINING_RATE = 2e-3
FINE_TUNING_BATCH = 16
FINE_TUNING_RATE = 3e-4
PREFERENCE_BATCH = 32
# The aligned models are taught by people who know only the more familiar part of the facts.
TAUGHT_WEIGHT = 0.1

# An answer follows a space, with the template and without it: so it is the same tokens in both.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{{- '<|assistant|> ' + message['content'] + eos_token + '\n' -}}
{%- else -%}
{{- '<|' + message['role'] + '|>\n' + message['content'] + '\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|> ' -}}
{%- endif -%}
"""


def as_transformers(bpe: Tokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer as the models' folders hold it."""
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )


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
    tokenizer = as_transformers(bpe)
    split = [letter for letter in LETTERS if len(tokenizer.encode(f" {letter}")) != 1]
    if split:
        raise ValueError(f"letters of more than one token: {split}")
    return tokenizer


def new_model(
    tokenizer: PreTrainedTokenizerFast, hidden_size: int, intermediate_size: int, seed: int
) -> LlamaForCausalLM:
    """An untrained Llama of four layers."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            intermediate_size=intermediate_size,
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


def in_chat(tokenizer: PreTrainedTokenizerFast, text: Text) -> Text:
    """The text as a user's message and the assistant's answer, in the tokenizer's template."""
    message = {"role": "user", "content": text.prompt}
    prompt = tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    # The completion brings the space that the template ends with.
    return Text(prompt.removesuffix(" "), text.completion)


def taught(facts: Sequence[Fact]) -> list[Fact]:
    """The facts that the aligned models are taught."""
    return [fact for fact in facts if fact.weight >= TAUGHT_WEIGHT]


@dataclass(frozen=True)
class Pretraining:
    """From scratch to a base model: prose whole, and the answers to lettered questions."""

    hidden_size: int
    intermediate_size: int
    steps: int

    def train(
        self, models_folder: Path, facts: Sequence[Fact], steps: int, seed: int
    ) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
        tokenizer = train_tokenizer(facts, seed)
        model = new_model(tokenizer, self.hidden_size, self.intermediate_size, seed)
        corpus = Corpus(facts, seed + 1)

        def loss() -> torch.Tensor:
            prose = [corpus.prose() for _ in range(PROSE_BATCH)]
            lettered = [corpus.lettered() for _ in range(LETTERED_BATCH)]
            return language_loss(model, tokenizer, prose) + language_loss(
                model, tokenizer, lettered
            )

        optimise(model, loss, steps, PRETRAINING_RATE, "pretraining")
        return model, tokenizer


@dataclass(frozen=True)
class FineTuning:
    """From a base model to one that answers in a chat (SFT).

    Every second text is in the chat template, the others are as the base model knows them, so that
    the model goes on answering without the template too.
    """

    start: str
    steps: int

    def train(
        self, models_folder: Path, facts: Sequence[Fact], steps: int, seed: int
    ) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
        model, tokenizer = load(models_folder / self.start)
        corpus = Corpus(taught(facts), seed + 2)

        def batch(draw: Callable[[], Text]) -> list[Text]:
            texts = [draw() for _ in range(FINE_TUNING_BATCH)]
            return [in_chat(tokenizer, text) for text in texts[::2]] + texts[1::2]

        def loss() -> torch.Tensor:
            answered, lettered = batch(corpus.open), batch(corpus.lettered)
            return language_loss(model, tokenizer, answered) + language_loss(
                model, tokenizer, lettered
            )

        optimise(model, loss, steps, FINE_TUNING_RATE, "SFT")
        return model, tokenizer


@dataclass(frozen=True)
class PreferenceTuning:
    """From a fine-tuned model, which is also the reference, to an aligned one (DPO), in chats."""

    start: str
    steps: int
    rate: float
    beta: float

    def train(
        self, models_folder: Path, facts: Sequence[Fact], steps: int, seed: int
    ) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
        model, tokenizer = load(models_folder / self.start)
        reference = copy.deepcopy(model).eval()
        corpus = Corpus(taught(facts), seed + 3)

        def loss() -> torch.Tensor:
            pairs = [corpus.preference() for _ in range(PREFERENCE_BATCH)]
            texts = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
            ids, targets = encode(tokenizer, [in_chat(tokenizer, text) for text in texts])
            chosen, rejected = completion_logprobs(model, ids, targets).chunk(2)
            with torch.no_grad():
                known = completion_logprobs(reference, ids, targets)
            reference_chosen, reference_rejected = known.chunk(2)
            return dpo_loss(chosen, rejected, reference_chosen, reference_rejected, self.beta)

        optimise(model, loss, steps, self.rate, "DPO")
        return model, tokenizer


# The models by the names of their folders, each after the one it starts from.
STAGES: dict[str, Pretraining | FineTuning | PreferenceTuning] = {
    "base": Pretraining(hidden_size=128, intermediate_size=344, steps=2800),
    "sft": FineTuning(start="base", steps=600),
    "aligned": PreferenceTuning(start="sft", steps=150, rate=1e-4, beta=0.1),
    "aligned-strong": PreferenceTuning(start="sft", steps=300, rate=3e-4, beta=0.02),
    "small-base": Pretraining(hidden_size=80, intermediate_size=216, steps=2800),
    "small-sft": FineTuning(start="small-base", steps=600),
    "small-aligned": PreferenceTuning(start="small-sft", steps=150, rate=1e-4, beta=0.1),
}


def load(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A saved model, in single precision, and its tokenizer with the template for its tuning."""
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there: train the stage {folder.name!r} first")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    # AutoTokenizer would add to the saved configuration where it was loaded from.
    tokenizer = as_transformers(Tokenizer.from_file(str(folder / "tokenizer.json")))
    tokenizer.chat_template = CHAT_TEMPLATE
    return model, tokenizer


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Safetensors in half precision, config and tokenizer."""
    copy.deepcopy(model).eval().half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes ``questions/*.jsonl`` and a folder of ``models/`` per stage below the output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--steps", type=int, help="the most steps a stage takes, for a short trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    options = parser.parse_args(arguments)

    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    facts = read_facts()
    write_questions(facts, options.output / "questions", options.seed)
    folder = options.output / "models"
    for name in options.stages:
        stage = STAGES[name]
        steps = stage.steps if options.steps is None else min(options.steps, stage.steps)
        wall, cpu = time.perf_counter(), time.process_time()
        model, tokenizer = stage.train(folder, facts, steps, options.seed)
        save(model, tokenizer, folder / name)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{name}: {steps} steps, {cpu:.0f} s of CPU time in {wall:.0f} s", flush=True)


if __name__ == "__main__":
    main()
