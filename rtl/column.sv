// One column of the array: DIM processing elements, one weight each in either of two banks.
//
// Element i sees in cycle n the input that row i has in this column, and the sum of element i - 1
// (element 0 sees zero). At the end of the cycle it holds sum + input * weight, so a sum goes down
// one row a cycle. The bank that an input is multiplied with comes along with it. A weight that
// arrives is held from the next cycle on.
module column #(
  parameter int DIM = 16
) (
  input  logic clk,
  input  logic enable,
  input  logic [7:0] in [DIM],
  input  logic in_bank [DIM],
  input  logic weight_valid,
  input  logic [$clog2(2*DIM)-1:0] weight_place,  // bank and row
  input  logic [7:0] weight_in,
  output logic signed [31:0] out
);
  logic signed [7:0] weight [2*DIM];
  logic signed [31:0] sum [DIM];

  assign out = sum[DIM-1];

  always_ff @(posedge clk) if (enable && weight_valid) weight[weight_place] <= weight_in;

  for (genvar i = 0; i < DIM; i++) begin : g_element
    logic signed [15:0] product;
    assign product = $signed(in[i]) * weight[in_bank[i] ? DIM + i : i];
    if (i == 0) begin : g_top
      always_ff @(posedge clk) if (enable) sum[i] <= 32'(product);
    end else begin : g_below
      always_ff @(posedge clk) if (enable) sum[i] <= sum[i-1] + 32'(product);
    end
  end
endmodule
