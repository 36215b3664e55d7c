// The array: DIM columns of DIM elements, weights stationary, two banks of them.
//
// A row of inputs that comes in cycle n reaches element (i, j) in cycle n + i + j: row i waits i
// cycles at the edge, then goes right one column a cycle, and with it goes the bank that it is
// multiplied with. Element (i, j) then takes the sum of the element above (zero at the top), and
// holds sum + input * weight from the next cycle on: the sum leaves column j at the end of cycle
// n + DIM - 1 + j.
//
// A row of weights waits j cycles at column j, so it follows the inputs before it in the same
// slant: a bank may be filled from the cycle after the last input that uses it came, and used from
// the cycle after its first row came.
module mesh #(
  parameter int DIM = 16
) (
  input  logic clk,
  input  logic enable,
  input  logic [7:0] inputs [DIM],
  input  logic inputs_bank,
  input  logic weights_valid,
  input  logic [$clog2(2*DIM)-1:0] weights_place,   // bank and row
  input  logic [7:0] weights [DIM],
  output logic signed [31:0] sums [DIM]
);
  localparam int PLACE_BITS = $clog2(2 * DIM);

  for (genvar i = 0; i < DIM; i++) begin : g_row
    logic [8:0] slanted;
    delay #(.WIDTH(9), .CYCLES(i)) edge_of_row (
      .clk, .enable, .in({inputs_bank, inputs[i]}), .out(slanted)
    );
  end

  for (genvar j = 0; j < DIM; j++) begin : g_column
    logic [7:0] weight_in;
    logic [PLACE_BITS:0] place;
    delay #(.WIDTH(8), .CYCLES(j)) edge_of_column (
      .clk, .enable, .in(weights[j]), .out(weight_in)
    );
    if (j == 0) begin : g_first
      assign place = {weights_valid, weights_place};
    end else begin : g_next
      always_ff @(posedge clk) if (enable) place <= g_column[j-1].place;
    end
    logic signed [7:0] weight [2*DIM];
    always_ff @(posedge clk)
      if (enable && place[PLACE_BITS]) weight[place[PLACE_BITS-1:0]] <= weight_in;

    for (genvar i = 0; i < DIM; i++) begin : g_element
      logic [8:0] in, held;
      logic signed [31:0] sum;
      logic signed [15:0] product;
      if (j == 0) begin : g_left
        assign in = g_row[i].slanted;
      end else begin : g_inside
        assign in = g_column[j-1].g_element[i].held;
      end
      assign product = $signed(in[7:0]) * weight[in[8] ? DIM + i : i];
      always_ff @(posedge clk) if (enable) held <= in;
      if (i == 0) begin : g_top
        always_ff @(posedge clk) if (enable) sum <= 32'(product);
      end else begin : g_below
        always_ff @(posedge clk) if (enable) sum <= g_element[i-1].sum + 32'(product);
      end
    end
    assign sums[j] = g_element[DIM-1].sum;
  end
endmodule
