"""Score cells of one model: `python -m alignment_calibration.scoring`, see `--help`."""

from alignment_calibration.errors import run_cli


def main() -> None:
    """The command, imported only here: where memory lacks for that, `run_cli` says so."""
    from alignment_calibration.scoring import command

    command.main()


if __name__ == "__main__":
    run_cli(main)
