// The accumulator: one memory of sums for each column of the array.
//
// A column adds, or writes, the sum that leaves it in the same cycle; columns are one cycle apart,
// and so are what comes with the sums. A row is all columns' sums at one address: one run of its
// bytes goes to or comes from memory in a cycle, beside the sums of the array. What goes out
// narrow is cut to the range of a byte.
module accumulator #(
  parameter int DIM = 16,
  parameter int BUS = 16,
  parameter int ROWS = 1024
) (
  input  logic clk,
  input  logic [DIM-1:0] add_valid,           // for each column
  input  logic [DIM-1:0] add_first,
  input  logic [$clog2(ROWS)-1:0] add_row [DIM],
  input  logic signed [31:0] add_sum [DIM],
  input  types_pkg::word_t row,               // of the run
  input  types_pkg::word_t offset,            // of its first byte in the row
  input  logic narrow,
  input  logic write,
  input  types_pkg::word_t write_count,
  input  logic [8*BUS-1:0] write_data,
  output logic [8*BUS-1:0] read_data
);
  import types_pkg::*;

  localparam int ROW_BITS = $clog2(ROWS);
  localparam int WIDE = 4 * DIM > BUS ? 4 * DIM : BUS;  // bytes of a row, and of a run
  logic [8*WIDE-1:0] wide_row, narrow_row;
  logic [8*WIDE-1:0] shifted;

  always_comb begin
    shifted = (narrow ? narrow_row : wide_row) >> (offset * 8);
    read_data = shifted[8*BUS-1:0];
  end
  if (WIDE > 4 * DIM) begin : g_beyond
    assign wide_row[8*WIDE-1:32*DIM] = '0;
  end
  assign narrow_row[8*WIDE-1:8*DIM] = '0;

  localparam int WORDS = BUS / 4;
  logic [31:0] words [WORDS];
  for (genvar i = 0; i < WORDS; i++) begin : g_word
    assign words[i] = write_data[32*i+:32];
  end

  for (genvar j = 0; j < DIM; j++) begin : g_column
    logic signed [31:0] sums [ROWS];
    logic signed [31:0] out;
    word_t place;                             // in the run
    assign out = sums[row[ROW_BITS-1:0]];
    assign wide_row[32*j+:32] = out;
    assign narrow_row[8*j+:8] = out > 127 ? 8'd127 : out < -128 ? 8'h80 : out[7:0];
    assign place = j - offset / 4;
    always_ff @(posedge clk) begin
      if (add_valid[j])
        sums[add_row[j]] <=
            add_first[j] ? add_sum[j] : sums[add_row[j]] + add_sum[j];
      if (write && place < write_count / 4)
        sums[row[ROW_BITS-1:0]] <= words[place[$clog2(WORDS > 1 ? WORDS : 2)-1:0]];
    end
  end
endmodule
