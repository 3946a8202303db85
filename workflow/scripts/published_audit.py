"""Bind the rule `published_audit` to the package."""

from typing import TYPE_CHECKING

from alignment_calibration.contract.published import PUBLISHED_AUDIT
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.reference.published import audit, read_published, recover

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        published = read_published(snakemake.input.published)
        write_frame(snakemake.output[0], audit(recover(published)), PUBLISHED_AUDIT)
