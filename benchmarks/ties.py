r"""How often two letters of a question have exactly the same probability, by the format of logits.

    python -m benchmarks.ties
    python -m benchmarks.ties --model CHECKPOINT \
        --questions results/{study}/questions/{task}/choice.parquet

The same hidden states and weights in bfloat16 are multiplied twice, on a CPU: as a model does it,
each logit rounded to bfloat16, and with sums that stay float32, as a GPU gives them to the trie.
Without a checkpoint hidden states and weights are random, of width 4096, and made so that the
logits of four letters lie around `--logit`, as those of large models do.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.scoring.load import load_checkpoint
from alignment_calibration.scoring.tokenization import encode, max_length

#: Hidden states before the letters, of shape (width,), and the output weights of the letters, of
#: shape (letters, width), both in bfloat16.
Question = tuple[torch.Tensor, torch.Tensor]


def of_model(folder: Path, questions: Path, most: int) -> Iterator[Question]:
    """Questions of a letters prompt, as a checkpoint in bfloat16 reads them."""
    checkpoint = load_checkpoint(folder, "bfloat16", torch.device("cpu"))
    model = checkpoint.model
    limit = max_length(model.config, checkpoint.tokenizer)
    asked: dict[str, list[tuple[str, str]]] = {}
    for row in read_parquet(questions, QUESTIONS).to_pylist():
        asked.setdefault(row["question_id"], []).append((row["context"], row["continuation"]))
    for pairs in list(asked.values())[:most]:
        requests = [one.request for one in encode(pairs, checkpoint.tokenizer, limit)]
        letters = [request.continuation_ids[0] for request in requests]
        read = torch.tensor([requests[0].context_ids])
        hidden = model.base_model(input_ids=read, use_cache=False).last_hidden_state[0, -1]
        yield hidden, model.get_output_embeddings().weight[letters]


def random_questions(number: int, logit: float, width: int = 4096) -> Iterator[Question]:
    """Four letters whose logits are `logit`, give or take 1, before rounding."""
    torch.manual_seed(0)
    for _ in range(number):
        hidden = torch.randn(width).bfloat16()
        state = hidden.float()
        weights = torch.randn(4, width) / width**0.5
        wanted = logit + torch.randn(4)
        weights += ((wanted - weights @ state) / (state @ state))[:, None] * state
        yield hidden, weights.bfloat16()


HEADINGS = [
    "logits",
    "questions",
    "any two tie",
    "the highest tie",
    "argmax changed",
    "rms error of confidence",
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="folder of a checkpoint")
    parser.add_argument("--questions", type=Path, help="questions file of a letters prompt")
    parser.add_argument("--number", type=int, default=1000, help="of questions, at most")
    parser.add_argument("--logit", type=float, default=18, help="of random letters")
    arguments = parser.parse_args()
    if (arguments.model is None) != (arguments.questions is None):
        parser.error("--model and --questions go together")
    with torch.inference_mode():
        questions = list(
            of_model(arguments.model, arguments.questions, arguments.number)
            if arguments.model
            else random_questions(arguments.number, arguments.logit)
        )
        rounded = [torch.nn.functional.linear(*question).float() for question in questions]
        summed = [hidden.float() @ weight.float().T for hidden, weight in questions]
    exact = [(hidden.double() @ weight.double().T) for hidden, weight in questions]
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + " --- |" * len(HEADINGS))
    for name, found in {"bfloat16": rounded, "float32": summed}.items():
        number = len(found)
        any_two = sum(len(set(logits.tolist())) < len(logits) for logits in found)
        highest = sum(int((logits == logits.max()).sum() > 1) for logits in found)
        pairs = list(zip(found, exact, strict=True))
        changed = sum(int(one.argmax() != other.argmax()) for one, other in pairs)
        errors = torch.tensor(
            [one.double().softmax(0).max() - other.softmax(0).max() for one, other in pairs]
        )
        print(
            f"| {name} | {number} | {any_two / number:.1%} | {highest / number:.1%} | "
            f"{changed / number:.1%} | {float(errors.square().mean().sqrt()):.1e} |"
        )


if __name__ == "__main__":
    main()
