// Two asynchronous read ports, one write port. A read shows a write from the next cycle on.
module winnow_regfile #(
    parameter WIDTH = 64,
    parameter DEPTH = 64,
    parameter ADDRESS_BITS = 6
) (
    input wire clk,
    input wire [ADDRESS_BITS-1:0] read_address_0,
    output wire [WIDTH-1:0] read_data_0,
    input wire [ADDRESS_BITS-1:0] read_address_1,
    output wire [WIDTH-1:0] read_data_1,
    input wire write_enable,
    input wire [ADDRESS_BITS-1:0] write_address,
    input wire [WIDTH-1:0] write_data
);
    reg [WIDTH-1:0] memory [0:DEPTH-1];

    assign read_data_0 = memory[read_address_0];
    assign read_data_1 = memory[read_address_1];

    always @(posedge clk) begin
        if (write_enable) memory[write_address] <= write_data;
    end
endmodule
