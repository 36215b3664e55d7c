// Hands on what comes in after so many enabled cycles; 0 is a wire.
module delay #(
  parameter int WIDTH = 8,
  parameter int CYCLES = 1
) (
  input  logic clk,
  input  logic enable,
  input  logic [WIDTH-1:0] in,
  output logic [WIDTH-1:0] out
);
  for (genvar k = 0; k < CYCLES; k++) begin : g_stage
    logic [WIDTH-1:0] held;
    if (k == 0) begin : g_in
      always_ff @(posedge clk) if (enable) held <= in;
    end else begin : g_on
      always_ff @(posedge clk) if (enable) held <= g_stage[k-1].held;
    end
  end
  if (CYCLES == 0) begin : g_wire
    assign out = in;
  end else begin : g_last
    assign out = g_stage[CYCLES-1].held;
  end
endmodule
