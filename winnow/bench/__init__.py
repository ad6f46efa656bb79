"""Measurements in the generated Verilog, checked to the bit."""
