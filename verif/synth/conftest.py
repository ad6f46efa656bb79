"""What tests of synthesis share."""

import pytest

from hdl import cache
from synth import liberty
from verif.synth.designs import LIBRARY


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small cell library, whose results are kept nowhere else."""
    monkeypatch.setattr(cache, "BUILD", tmp_path / "build")
    path = tmp_path / "small.lib"
    path.write_text(LIBRARY)
    return liberty.load([path])
