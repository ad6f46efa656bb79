// A clock that stands still while `enable` is low. Units behind it change nothing in such a cycle,
// so an FPGA flow may pass the clock through; an ASIC flow puts its own cell here.
module winnow_clock_gate (
    input wire clk,
    input wire enable,
    output wire gated
);
    reg open;

    always @* if (!clk) open = enable;
    assign gated = clk & open;
endmodule
