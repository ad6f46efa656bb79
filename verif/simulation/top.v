// The chip with registers before its inputs, which simulate faster than inputs: what depends on
// an input is evaluated at each of its two evaluations a cycle, what depends on a register once.
// An input written before a rising edge is the chip's after it.
//
// AXI_WORDS is the number of words of a beat. Data are arrays of words, which simulate faster than
// signals of more than 64 bits.
//
// With CHIP the units of the chip say when they are busy: bit 0 the tensor unit, 1 the vector unit,
// 2 the moves.
module simulation_top (
    input wire clk,
    input wire reset,
    input wire axi_arready,
    input wire axi_awready,
    input wire axi_wready,
    input wire axi_rvalid,
    input wire axi_rid,
    input wire [63:0] axi_rdata [0:`AXI_WORDS-1],
    input wire [1:0] axi_rresp,
    input wire axi_rlast,
    input wire axi_bvalid,
    input wire axi_bid,
    input wire [1:0] axi_bresp,
    input wire control_awvalid,
    input wire [11:0] control_awaddr,
    input wire control_wvalid,
    input wire [31:0] control_wdata,
    input wire [3:0] control_wstrb,
    input wire control_bready,
    input wire control_arvalid,
    input wire [11:0] control_araddr,
    input wire control_rready,
    output wire axi_arvalid,
    output wire axi_arid,
    output wire [31:0] axi_araddr,
    output wire [7:0] axi_arlen,
    output wire [2:0] axi_arsize,
    output wire [1:0] axi_arburst,
    output wire axi_awvalid,
    output wire axi_awid,
    output wire [31:0] axi_awaddr,
    output wire [7:0] axi_awlen,
    output wire [2:0] axi_awsize,
    output wire [1:0] axi_awburst,
    output wire axi_wvalid,
    output wire [63:0] axi_wdata [0:`AXI_WORDS-1],
    output wire [8*`AXI_WORDS-1:0] axi_wstrb,
    output wire axi_wlast,
    output wire axi_rready,
    output wire axi_bready,
    output wire control_awready,
    output wire control_wready,
    output wire control_bvalid,
    output wire [1:0] control_bresp,
    output wire control_arready,
    output wire control_rvalid,
    output wire [31:0] control_rdata,
    output wire [1:0] control_rresp,
    output wire [2:0] units_busy,
    output wire interrupt_up
);
    reg rst;
    reg now_axi_arready;
    reg now_axi_awready;
    reg now_axi_wready;
    reg now_axi_rvalid;
    reg now_axi_rid;
    reg [63:0] now_axi_rdata [0:`AXI_WORDS-1];
    reg [1:0] now_axi_rresp;
    reg now_axi_rlast;
    reg now_axi_bvalid;
    reg now_axi_bid;
    reg [1:0] now_axi_bresp;
    reg now_control_awvalid;
    reg [11:0] now_control_awaddr;
    reg now_control_wvalid;
    reg [31:0] now_control_wdata;
    reg [3:0] now_control_wstrb;
    reg now_control_bready;
    reg now_control_arvalid;
    reg [11:0] now_control_araddr;
    reg now_control_rready;

    always @(posedge clk) begin
        rst <= reset;
        now_axi_arready <= axi_arready;
        now_axi_awready <= axi_awready;
        now_axi_wready <= axi_wready;
        now_axi_rvalid <= axi_rvalid;
        now_axi_rid <= axi_rid;
        for (int i = 0; i < `AXI_WORDS; i = i + 1) now_axi_rdata[i] <= axi_rdata[i];
        now_axi_rresp <= axi_rresp;
        now_axi_rlast <= axi_rlast;
        now_axi_bvalid <= axi_bvalid;
        now_axi_bid <= axi_bid;
        now_axi_bresp <= axi_bresp;
        now_control_awvalid <= control_awvalid;
        now_control_awaddr <= control_awaddr;
        now_control_wvalid <= control_wvalid;
        now_control_wdata <= control_wdata;
        now_control_wstrb <= control_wstrb;
        now_control_bready <= control_bready;
        now_control_arvalid <= control_arvalid;
        now_control_araddr <= control_araddr;
        now_control_rready <= control_rready;
    end

    wire [64*`AXI_WORDS-1:0] rdata;
    wire [64*`AXI_WORDS-1:0] wdata;
    generate
        for (genvar i = 0; i < `AXI_WORDS; i = i + 1) begin : words
            assign rdata[64*i +: 64] = now_axi_rdata[i];
            assign axi_wdata[i] = wdata[64*i +: 64];
        end
    endgenerate

    chip chip (
        .clk(clk),
        .rst(rst),
        .axi__arready(now_axi_arready),
        .axi__awready(now_axi_awready),
        .axi__wready(now_axi_wready),
        .axi__rvalid(now_axi_rvalid),
        .axi__rid(now_axi_rid),
        .axi__rdata(rdata),
        .axi__rresp(now_axi_rresp),
        .axi__rlast(now_axi_rlast),
        .axi__bvalid(now_axi_bvalid),
        .axi__bid(now_axi_bid),
        .axi__bresp(now_axi_bresp),
        .control__awvalid(now_control_awvalid),
        .control__awaddr(now_control_awaddr),
        .control__wvalid(now_control_wvalid),
        .control__wdata(now_control_wdata),
        .control__wstrb(now_control_wstrb),
        .control__bready(now_control_bready),
        .control__arvalid(now_control_arvalid),
        .control__araddr(now_control_araddr),
        .control__rready(now_control_rready),
        .axi__arvalid(axi_arvalid),
        .axi__arid(axi_arid),
        .axi__araddr(axi_araddr),
        .axi__arlen(axi_arlen),
        .axi__arsize(axi_arsize),
        .axi__arburst(axi_arburst),
        .axi__awvalid(axi_awvalid),
        .axi__awid(axi_awid),
        .axi__awaddr(axi_awaddr),
        .axi__awlen(axi_awlen),
        .axi__awsize(axi_awsize),
        .axi__awburst(axi_awburst),
        .axi__wvalid(axi_wvalid),
        .axi__wdata(wdata),
        .axi__wstrb(axi_wstrb),
        .axi__wlast(axi_wlast),
        .axi__rready(axi_rready),
        .axi__bready(axi_bready),
        .control__awready(control_awready),
        .control__wready(control_wready),
        .control__bvalid(control_bvalid),
        .control__bresp(control_bresp),
        .control__arready(control_arready),
        .control__rvalid(control_rvalid),
        .control__rdata(control_rdata),
        .control__rresp(control_rresp),
        .interrupt(interrupt_up)
    );
`ifdef CHIP
    assign units_busy = {chip.move__busy, chip.vector__busy, chip.tensor__busy};
`else
    assign units_busy = 0;
`endif
endmodule
