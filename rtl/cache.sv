// The optional last-level cache, of tags only: which bursts find their lines there.
//
// Direct-mapped, `lines` of 2 ** `line_bits` bytes; none if `lines` is 0. In the cycle in which a
// burst is issued, the one or two lines that it lies on are looked up; it hits if all of them are
// there. From the next cycle on they are, whether it reads or writes. A burst may hit a line that
// is still on its way: the bus serves it after the burst that fetches the line.
// While `reset` is high one line is emptied in each cycle; `empty` says that all of them are.
module cache #(
  parameter int MOST_LINES = 1 << 16   // 0: built without one
) (
  input  logic clk,
  input  logic reset,
  input  types_pkg::word_t lines,      // a power of two, or 0
  input  types_pkg::word_t line_bits,
  input  logic issue,
  input  types_pkg::burst_t in,
  output logic hit,
  output logic empty
);
  import types_pkg::*;

  if (MOST_LINES == 0) begin : g_none
    assign hit = 0;
    assign empty = 1;
  end else begin : g_lines
    localparam int BITS = $clog2(MOST_LINES);
    logic [32:0] held [MOST_LINES];      // whether there is a line, and its number in memory
    word_t mask, first, last, emptied;
    logic [BITS-1:0] first_at, last_at;

    assign mask = lines - 1;
    assign first = in.address >> line_bits;
    assign last = (in.address + in.bytes - 1) >> line_bits;
    assign first_at = first[BITS-1:0] & mask[BITS-1:0];
    assign last_at = last[BITS-1:0] & mask[BITS-1:0];
    assign hit = lines != 0 && held[first_at] == {1'b1, first} && held[last_at] == {1'b1, last};
    assign empty = emptied >= lines;

    always_ff @(posedge clk) begin
      if (reset) begin
        if (!empty) begin
          held[emptied[BITS-1:0]] <= 0;
          emptied <= emptied + 1;
        end
      end else begin
        emptied <= 0;
        if (issue && lines != 0) begin
          held[first_at] <= {1'b1, first};
          held[last_at] <= {1'b1, last};  // in a cache of one line it is this one that stays
        end
      end
    end
  end
endmodule
