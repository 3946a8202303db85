"""Bind the rule `published_audit` to the package."""

from alignment_calibration.contract.published import PUBLISHED_AUDIT
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.reference.published import (
    audit,
    audit_table,
    rank_audit_table,
    read_published,
    recover,
    recovered_table,
)
from alignment_calibration.report.tables import write_table

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        published = read_published(snakemake.input.published)
        recovered = recover(published)
        audited = audit(recovered)
        write_frame(snakemake.output.audit, audited, PUBLISHED_AUDIT)
        cells = recovered.groupby(["pair", "task", "method", "stage"]).ngroups
        write_table(audit_table(audited, cells), snakemake.output.audit_table)
        write_table(recovered_table(recovered), snakemake.output.recovered)
        write_table(rank_audit_table(published), snakemake.output.ranks)
