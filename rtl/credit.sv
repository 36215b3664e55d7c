// Counts what one unit gives and another takes: free halves, loaded tiles, finished visits.
// What is given in one cycle can be taken from the next one on.
module credit (
  input  logic clk,
  input  logic reset,
  input  types_pkg::word_t initial_count,
  input  logic give,
  input  logic take,
  output logic available
);
  types_pkg::word_t count;

  assign available = count != 0;

  always_ff @(posedge clk) begin
    if (reset) count <= initial_count;
    else if (give != take) count <= give ? count + 1 : count - 1;
  end
endmodule
