"""A small design with everything in it, and a small cell library."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.memory.sram import Sram


class Chain(wiring.Component):
    """Exclusive-ors in a row, then registers with and without a reset; and memories beside it."""

    def __init__(self, *, length):
        self.length = length
        super().__init__({"a": In(length), "o": Out(1), "kept": Out(1), "row": Out(4)})

    def elaborate(self, platform):
        m = Module()
        total = self.a[0]
        for bit in self.a[1:]:
            total = total ^ bit
        held = Signal(reset_less=True)
        m.d.sync += [self.o.eq(total), held.eq(self.o)]
        m.d.comb += self.kept.eq(held)
        m.submodules.sram = sram = Sram(width=3, depth=10)
        m.submodules.files = files = RegisterFile(width=4, depth=2, reads=1)
        m.d.comb += [sram.write_enable.eq(total), files.write_enable.eq(held),
                     self.row.eq(files.read_data[0] ^ sram.read_data)]
        return m


_TABLE = ('index_1 ("0.01, 0.1, 1"); index_2 ("0.001, 0.01, 0.1"); '
          'values ("0.10, 0.11, 0.20", "0.11, 0.12, 0.21", "0.20, 0.21, 0.30");')
_TIMES = " ".join(f"{name} (t) {{ {_TABLE} }}" for name in
                  ("cell_rise", "cell_fall", "rise_transition", "fall_transition"))
_INPUT = ("direction : input; capacitance : 0.002; rise_capacitance : 0.002; "
          "fall_capacitance : 0.002;")


def _power(rise: float, fall: float, pin: str = "") -> str:
    """Internal power in pJ of an input, or of an output from `pin`; that of the ground rail is to
    be left out."""
    related, table = (f'related_pin : "{pin}";', "p") if pin else ("", "q")

    def values(value: float) -> str:
        row = f'"{value}, {value}"'
        return f"({table}) {{ values ({', '.join([row] * (2 if pin else 1))}); }}"

    return "".join(f"internal_power () {{ {related} {rail} rise_power {values(rise)} "
                   f"fall_power {values(fall)} }} " for rail in ("", "related_pg_pin : VSS;"))


def _gate(name: str, area: int, function: str, inputs: str, sense: str) -> str:
    pins = "".join(f"pin ({pin}) {{ {_INPUT} }}\n" for pin in inputs)
    arcs = " ".join(f'timing () {{ related_pin : "{pin}"; timing_sense : {sense}; {_TIMES} }}'
                    for pin in inputs)
    return (f"cell ({name}) {{ area : {area};\n{pins}"
            f'pin (Y) {{ direction : output; max_capacitance : 1; function : "{function}"; {arcs}\n'
            f"{''.join(_power(0.3, 0.1, pin) for pin in inputs)} }}\n"
            f"leakage_power () {{ value : {area}; }}\n"
            f'pg_pin (VSS) {{ pg_type : primary_ground; }}\n}}\n')


HEAD = """library (small) { /* a comment { with a brace */
delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";
capacitive_load_unit (1, pf); pulling_resistance_unit : "1kohm"; leakage_power_unit : "1nW";
input_threshold_pct_rise : 50; input_threshold_pct_fall : 50; output_threshold_pct_rise : 50;
output_threshold_pct_fall : 50; slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise :
80; slew_lower_threshold_pct_fall : 20; slew_upper_threshold_pct_fall : 80;
nom_voltage : 1; nom_temperature : 25; nom_process : 1;
operating_conditions (typical) { process : 1; temperature : 25; voltage : 1; }
default_operating_conditions : typical;
lu_table_template (t) { variable_1 : input_net_transition; variable_2 :
total_output_net_capacitance; index_1 ("0.01, 0.1, 1"); index_2 ("0.001, 0.01, 0.1"); }
power_lut_template (p) { variable_1 : input_transition_time; variable_2 :
total_output_net_capacitance; index_1 ("0.01, 1"); index_2 ("0.001, 0.1"); }
power_lut_template (q) { variable_1 : input_transition_time; index_1 ("0.01, 1"); }
"""
_SETUP = " ".join(f"{name} (scalar) {{ values (\"0.05\"); }}" for name in
                  ("rise_constraint", "fall_constraint"))
GATES = (_gate("INV", 1, "!A", "A", "negative_unate") + _gate("BUF", 2, "A", "A", "positive_unate")
         + _gate("NAND2", 3, "!(A&B)", "AB", "negative_unate"))
FLIP_FLOP = f"""cell (DFF) {{ area : 10; ff (IQ, IQN) {{ clocked_on : "CK"; next_state : "D"; }}
pin (CK) {{ {_INPUT} clock : true; {_power(0.5, 0.5)} }}
pg_pin (VSS) {{ pg_type : primary_ground; }} leakage_power () {{ value : 10; }}
pin (D) {{ {_INPUT} timing () {{ related_pin : "CK"; timing_type : setup_rising; {_SETUP} }} }}
pin (Q) {{ direction : output; max_capacitance : 1; function : "IQ";
timing () {{ related_pin : "CK"; timing_type : rising_edge; {_TIMES} }}
{_power(0.2, 0.6, "CK")} }} }}
"""
LIBRARY = HEAD + GATES + FLIP_FLOP + "}\n"
