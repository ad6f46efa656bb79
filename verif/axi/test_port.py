import pytest

from hdl.external import ExternalPort
from verif import bench


@pytest.mark.parametrize("readers, words", [(1, 1), (2, 1), (3, 2), (2, 4)])
def test_port(readers, words):
    bench.run(ExternalPort(readers=readers, words=words), "verif.axi.bench_port",
              parameters={"readers": readers, "words": words})


def test_constructor_errors():
    with pytest.raises(ValueError, match="readers = 0: must be at least 1"):
        ExternalPort(readers=0, words=1)
