"""The hardware: Amaranth units, and `hdl.emit`, which writes them as Verilog."""
