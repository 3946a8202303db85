#!/bin/sh
# Runs in the new environment, in the folder from which snakemake was started.
pip install --no-deps --editable .
