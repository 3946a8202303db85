# Two commands for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores 4 --resources gpu=4

# The rules run `python`: that of the environment.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

TWO_COLUMNS := awk '{name = $$1; sub(/^[^ ]+ /, ""); printf "  %-18s %s\n", name, $$0}'

.PHONY: help demo report test lint format architecture files clean

# The workflow's targets are described by the docstrings of their rules.
help:  ## List the targets of make and of the workflow
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) | $(TWO_COLUMNS)
	@echo
	@echo "Targets of the workflow, named before any option: snakemake TARGET --cores 4"
	@sed -n '/^rule [a-z_]*:$$/{N;s/^rule \([a-z_]*\):\n *"""\(.*\)\."""$$/\1 \2/p}' \
		workflow/Snakefile workflow/rules/*.smk | $(TWO_COLUMNS)

# A stamp per set of requirements: made again only when the pins or the project file change.
.venv/workflow.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: needs Python 3.11 \
	or newer; %s is %d.%d, so name another: make PYTHON=python3.12" \
	% ((sys.executable,) + sys.version_info[:2]) or 0)'
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

# A file at a time on each core, so that what its tests share is made once.
test: .venv/test.stamp  ## Run the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --dist loadfile

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
