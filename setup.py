"""Puts a file beside the installed packages by which lm-eval learns of `shared_prefix`.

lm-eval has no entry points for models. The rest of the installation is in pyproject.toml.
"""

import os
import sysconfig

import setuptools


class Distribution(setuptools.Distribution):
    """Installs data files in editable mode too, where setuptools asks by this name if it should."""

    def has_data(self) -> bool:
        return bool(self.data_files)


site_packages = os.path.relpath(sysconfig.get_path("purelib"), sysconfig.get_path("data"))
setuptools.setup(
    distclass=Distribution,
    data_files=[(site_packages, ["workflow/alignment_calibration.pth"])],
)
