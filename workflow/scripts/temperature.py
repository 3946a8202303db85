"""Put the temperatures of all pairs into one file."""

import pandas as pd

from alignment_calibration.contract.pairs import TEMPERATURE
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame, write_frame

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        parts = [read_frame(part, TEMPERATURE) for part in sorted(snakemake.input.parts)]
        write_frame(snakemake.output[0], pd.concat(parts), TEMPERATURE)
