"""Settings that all tests share."""

from verif import seeds


def pytest_configure(config):
    seeds.seed()  # here, so that all workers share it
    # A constructor that raises leaves a component that was never used.
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")


def pytest_report_header():
    return f"{seeds.VARIABLE}={seeds.seed()}"
