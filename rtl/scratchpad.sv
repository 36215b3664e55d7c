// The scratchpad: bytes in banks, so that a run of bytes may begin anywhere. Byte a lies in bank
// a % BANKS at row a / BANKS; a run is turned so that its first byte comes out first.
//
// Each cycle it takes one run from memory and gives two: a row of weights and a row of inputs, each
// to a register. Bytes of inputs beyond `inputs_count` are zero.
module scratchpad #(
  parameter int DIM = 16,
  parameter int BUS = 16,
  parameter int BYTES = 1 << 18
) (
  input  logic clk,
  input  logic write,
  input  types_pkg::word_t write_at,
  input  types_pkg::word_t write_count,
  input  logic [8*BUS-1:0] write_data,
  input  logic read_weights,
  input  types_pkg::word_t weights_at,
  output logic [7:0] weights [DIM],
  input  logic read_inputs,
  input  types_pkg::word_t inputs_at,
  input  types_pkg::word_t inputs_count,
  output logic [7:0] inputs [DIM]
);
  import types_pkg::*;

  localparam int BANKS = DIM > BUS ? DIM : BUS;
  localparam int ROWS = BYTES / BANKS;
  localparam int ROW_BITS = $clog2(ROWS);
  localparam int BANK_BITS = $clog2(BANKS);
  typedef logic [BANK_BITS-1:0] bank_t;
  typedef logic [ROW_BITS-1:0] row_t;

  logic [7:0] weights_out [BANKS];
  logic [7:0] inputs_out [BANKS];
  logic [7:0] written [BANKS];

  for (genvar i = 0; i < BUS; i++) begin : g_written
    assign written[i] = write_data[8*i+:8];
  end
  for (genvar i = BUS; i < BANKS; i++) begin : g_unwritten
    assign written[i] = '0;
  end

  // A bank before the one of the run's first byte holds bytes of the next row.
  function automatic row_t row_of(word_t at, int b);
    word_t row;
    row = (at + (BANKS - 1 - b)) >> BANK_BITS;
    return row[ROW_BITS-1:0];
  endfunction

  for (genvar b = 0; b < BANKS; b++) begin : g_bank
    logic [7:0] cell_at [ROWS];
    bank_t place;
    assign place = bank_t'(b) - write_at[BANK_BITS-1:0];
    always_ff @(posedge clk) begin
      if (write && word_t'(place) < write_count)
        cell_at[row_of(write_at, b)] <= written[place];
    end
    assign weights_out[b] = cell_at[row_of(weights_at, b)];
    assign inputs_out[b] = cell_at[row_of(inputs_at, b)];
  end

  for (genvar i = 0; i < DIM; i++) begin : g_turn
    logic [7:0] weight, in;
    always_ff @(posedge clk) begin
      if (read_weights) weight <= weights_out[bank_t'(i) + weights_at[BANK_BITS-1:0]];
      if (read_inputs)
        in <= i < inputs_count ? inputs_out[bank_t'(i) + inputs_at[BANK_BITS-1:0]] : 8'd0;
    end
    assign weights[i] = weight;
    assign inputs[i] = in;
  end
endmodule
