# The workflow is in workflow/; with these lines `snakemake` finds it from the root.
# (`include:` alone would lose the default target, and do nothing if none is named.)
workflow.include("workflow/Snakefile", overwrite_default_target=True)
