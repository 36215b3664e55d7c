// The array: DIM columns of DIM elements, weights stationary.
//
// A row of inputs that comes in cycle n reaches element (i, j) in cycle n + i + j: row i waits i
// cycles at the edge, then goes right one column a cycle. Its sum leaves column j at the end of
// cycle n + DIM - 1 + j. A row of weights waits j cycles at column j, so that it follows the inputs
// before it in the same slant: a bank may be filled from the cycle after the last input that uses
// it came, and used from the cycle after its first row came.
module mesh #(
  parameter int DIM = 16
) (
  input  logic clk,
  input  logic enable,
  input  logic [8*DIM-1:0] inputs,
  input  logic inputs_bank,
  input  logic weights_valid,
  input  logic [$clog2(2*DIM)-1:0] weights_place,
  input  logic [8*DIM-1:0] weights,
  output logic signed [31:0] sums [DIM]
);
  localparam int PLACE_BITS = $clog2(2 * DIM);

  logic [7:0] in [DIM+1][DIM];            // of column, row
  logic in_bank [DIM+1][DIM];
  logic place_valid [DIM];
  logic [PLACE_BITS-1:0] place [DIM];

  // Row i of the inputs waits i cycles.
  for (genvar i = 0; i < DIM; i++) begin : g_row
    logic [7:0] waiting [i+1];
    logic waiting_bank [i+1];
    assign waiting[0] = inputs[8*i+:8];
    assign waiting_bank[0] = inputs_bank;
    for (genvar k = 0; k < i; k++) begin : g_wait
      always_ff @(posedge clk) if (enable) waiting[k+1] <= waiting[k];
      always_ff @(posedge clk) if (enable) waiting_bank[k+1] <= waiting_bank[k];
    end
    assign in[0][i] = waiting[i];
    assign in_bank[0][i] = waiting_bank[i];
  end

  for (genvar j = 0; j < DIM; j++) begin : g_column
    // Inputs go on to the next column.
    for (genvar i = 0; i < DIM; i++) begin : g_right
      always_ff @(posedge clk) if (enable) in[j+1][i] <= in[j][i];
      always_ff @(posedge clk) if (enable) in_bank[j+1][i] <= in_bank[j][i];
    end
    // Weights of column j wait j cycles.
    logic [7:0] waiting [j+1];
    assign waiting[0] = weights[8*j+:8];
    for (genvar k = 0; k < j; k++) begin : g_wait
      always_ff @(posedge clk) if (enable) waiting[k+1] <= waiting[k];
    end
    if (j == 0) begin : g_first
      assign place_valid[j] = weights_valid;
      assign place[j] = weights_place;
    end else begin : g_next
      always_ff @(posedge clk) if (enable) place_valid[j] <= place_valid[j-1];
      always_ff @(posedge clk) if (enable) place[j] <= place[j-1];
    end
    column #(.DIM(DIM)) elements (
      .clk, .enable, .in(in[j]), .in_bank(in_bank[j]), .weight_valid(place_valid[j]),
      .weight_place(place[j]), .weight_in(waiting[j]), .out(sums[j])
    );
  end
endmodule
