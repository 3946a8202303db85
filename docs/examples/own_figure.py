"""A figure of one's own from a finished study, with pandas: how sure are models that are wrong?

    python docs/examples/own_figure.py results/demo wrong_answers.png

The columns are described in docs/files.md. An editor that knows `# %%` runs it cell by cell.
"""

# %% Where the study lies
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

results = Path(sys.argv[1])
method = "continuation_sum"

# %% The largest changes: a row per pair, task, method and metric
changes = pd.read_parquet(results / "changes.parquet")
chosen = changes[(changes["method"] == method) & (changes["metric"] == "ece")]
print(chosen.nlargest(5, "change")[["pair", "task", "base", "aligned", "change", "q_value"]])

# %% The models of each pair, from a file that names them
metrics = pd.read_parquet(results / "metrics.parquet")
models = metrics[["pair", "stage", "model"]].drop_duplicates()

# %% The answers: a row per question and method, of every task
answers = pd.concat(
    pd.read_parquet(file).assign(model=file.parent.name)
    for file in sorted(results.glob("confidences/*/*.parquet"))
)
answers = answers[answers["method"] == method]
answers["confidence"] = answers["probabilities"].map(max)
answers["chosen"] = answers["probabilities"].map(lambda of_options: of_options.argmax())
wrong = answers[answers["chosen"] != answers["gold"]].merge(models, on="model")

# %% A line per pair and stage: the share of wrong answers that were at least so sure
figure, axes = plt.subplots(layout="constrained")
for color, (pair, of_pair) in enumerate(wrong.groupby("pair")):
    for stage, style in (("base", "--"), ("aligned", "-")):
        confidence = of_pair.loc[of_pair["stage"] == stage, "confidence"]
        label = f"{pair}, {stage}"
        axes.ecdf(confidence, complementary=True, label=label, color=f"C{color}", linestyle=style)
axes.set(xlabel="confidence", ylabel="share of wrong answers at least as confident", xlim=(0, 1))
axes.legend()
figure.savefig(sys.argv[2], dpi=150)
