# Two commands for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores 4 --resources gpu=4

# The rules run `python`: that of the environment.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help demo report test lint format architecture files clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# A stamp per set of requirements: made again only when the pins or the project file change.
.venv/workflow.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[workflow]'
	touch $@

.venv/test.stamp: .venv/workflow.stamp
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: report  ## Run the demo study and make its report
	@echo
	@echo "tables:  results/demo/tables/"
	@echo "figures: figures/demo/"
	@echo "report:  results/demo/report.zip (unpack it and open report.html in a browser)"

report: .venv/workflow.stamp  ## Make the report of the demo study, and what it still lacks
	$(SNAKEMAKE)
	$(SNAKEMAKE) --report results/demo/report.zip

test: .venv/test.stamp  ## Run the test suite
	$(BIN)/python -m pytest

lint: .venv/test.stamp  ## Check style, types and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: .venv/test.stamp  ## Format Python and Snakemake files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

architecture: .venv/workflow.stamp  ## Draw the graph of the rules (docs/architecture.md; needs graphviz)
	$(BIN)/snakemake --rulegraph | tred | dot -Tsvg > docs/images/rules.svg

files: .venv/workflow.stamp  ## Write the data dictionary (docs/files.md)
	$(BIN)/python -m alignment_calibration.contract.dictionary > docs/files.md

clean:  ## Remove all results and figures of all studies
	find results figures -mindepth 1 ! -name README.md -delete
