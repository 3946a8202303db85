# The workflow is in workflow/; with these lines `snakemake` finds it from the root.
include: "workflow/Snakefile"
