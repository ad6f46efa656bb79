import re
from collections import Counter

import pytest

from synth.fanout import MOST, Buffer, buffered

OUTPUTS = {"BUF": {"Y"}, "NAND2": {"Y"}, "DFF": {"Q"}}


def netlist(count):
    cells = "".join(f"  NAND2 _{i}_ (\n    .A(\\many[0] ),\n    .B(b),\n    .Y(n{i})\n  );\n"
                    for i in range(count))
    flip_flops = "".join(f"  DFF f{i} (\n    .CK(clk),\n    .D(n{i}),\n    .Q(q{i})\n  );\n"
                         for i in range(count))
    return (f"module top(clk, b);\n{cells}{flip_flops}  winnow_sram_1x2 s (\n"
            "    .write_data({ b, b }),\n    .read_enable(b)\n  );\nendmodule\n")


@pytest.mark.parametrize("count", [1, MOST, MOST + 1, MOST * MOST, MOST * MOST + 1, 700])
def test_no_net_drives_many_and_each_is_driven_by_what_it_was(count):
    text, added = buffered(netlist(count), Buffer("BUF", "A", "Y"), OUTPUTS)
    driver, sinks = {}, Counter()
    for kind, pins in re.findall(r"(?m)^  (\w+) \S+ \(\n((?:    \.[^\n]+\n)+)  \);$", text):
        nets = {pin: net.strip() for pin, net in re.findall(r"\.(\w+)\(([^{}()]+)\)", pins)}
        if kind == "BUF":
            driver[nets["Y"]] = nets["A"]
        sinks.update(net for pin, net in nets.items()
                     if kind in OUTPUTS and pin not in OUTPUTS[kind])
    assert len(driver) == added == text.count("_buffer (")
    assert max(number for net, number in sinks.items() if net != "clk") <= MOST
    assert sinks["clk"] == count

    def source(net):
        return source(driver[net]) if net in driver else net

    for pin, net in (("A", "\\many[0]"), ("B", "b")):
        found = re.findall(rf"NAND2 \S+ \(\n[^;]*?\.{pin}\(([^()]+)\)", text)
        assert [source(each.strip()) for each in found] == [net] * count
    assert text.count("    .write_data({ b, b }),\n    .read_enable(b)\n") == 1
