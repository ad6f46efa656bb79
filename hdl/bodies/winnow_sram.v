// One synchronous read port, one write port. A word read in the cycle of its write is the old one.
// An ASIC or FPGA flow may put a macro of the same ports in place of this file.
module winnow_sram #(
    parameter WIDTH = 64,
    parameter DEPTH = 1024,
    parameter ADDRESS_BITS = 10
) (
    input wire clk,
    input wire read_enable,
    input wire [ADDRESS_BITS-1:0] read_address,
    output reg [WIDTH-1:0] read_data,
    input wire write_enable,
    input wire [ADDRESS_BITS-1:0] write_address,
    input wire [WIDTH-1:0] write_data
);
    reg [WIDTH-1:0] memory [0:DEPTH-1];

    always @(posedge clk) begin
        if (read_enable) read_data <= memory[read_address];
        if (write_enable) memory[write_address] <= write_data;
    end
endmodule
