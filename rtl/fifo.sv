// A queue. What is pushed in one cycle is seen at the other end in the next one at the earliest;
// `full` does not look at a pop of the same cycle.
module fifo #(
  parameter int WIDTH = 32,
  parameter int DEPTH = 4
) (
  input  logic clk,
  input  logic reset,
  input  logic push,
  input  logic [WIDTH-1:0] in,
  input  logic pop,
  output logic [WIDTH-1:0] out,
  output logic valid,
  output logic full
);
  localparam int BITS = $clog2(DEPTH);
  logic [WIDTH-1:0] entry [DEPTH];
  logic [BITS-1:0] head, tail;
  logic [BITS:0] count;

  assign out = entry[head];
  assign valid = count != 0;
  assign full = count == (BITS + 1)'(DEPTH);

  always_ff @(posedge clk) begin
    if (reset) begin
      head <= 0;
      tail <= 0;
      count <= 0;
    end else begin
      if (push) begin
        entry[tail] <= in;
        tail <= tail + 1;
      end
      if (pop) head <= head + 1;
      if (push != pop) count <= push ? count + 1 : count - 1;
    end
  end
endmodule
