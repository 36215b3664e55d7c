// Fetches what a tile needs and the tile before it did not: weights, inputs, partial sums.
//
// From the cycle after a tile is taken from the queue, one step follows another, each of one cycle
// where it has nothing to wait for:
//   WEIGHTS  if they are new: until a half is free and the DMA accepts the transfer
//   INPUTS   likewise
//   CLAIM    if a visit begins: until a half of the accumulator is free
//   SUMS     if its sums are in memory: until the DMA accepts the transfer
//   NOTE     the number of transfers so far is noted
// A tile is loaded when as many transfers as were noted have arrived.
module loader (
  input  logic clk,
  input  logic reset,
  input  types_pkg::job_t job,
  input  logic valid,
  input  types_pkg::tile_t next,
  output logic pop,
  input  logic weights_free,
  input  logic inputs_free,
  input  logic sums_free,
  output logic take_weights,
  output logic take_inputs,
  output logic take_sums,
  output logic request,
  output types_pkg::transfer_t transfer,
  input  logic granted,
  input  logic arrived,   // the last byte of a transfer
  output logic loaded     // a tile
);
  import types_pkg::*;
  import boxes_pkg::*;

  typedef enum logic [2:0] {IDLE, WEIGHTS, INPUTS, CLAIM, SUMS, NOTE} state_t;
  state_t state;
  tile_t tile;
  word_t accepted, received, noted;
  logic noted_valid, notes_full;
  logic no_inputs;

  // A tile in the midst of padding has none.
  assign no_inputs = tile.columns == 0 || tile.rows == 0;

  assign pop = state == IDLE && valid;
  assign request = (state == WEIGHTS && tile.new_weights && weights_free)
                || (state == INPUTS && tile.new_inputs && inputs_free && !no_inputs)
                || (state == SUMS && tile.again);
  assign transfer = state == WEIGHTS ? weights_box(job, tile)
                  : state == INPUTS ? inputs_box(job, tile) : sums_box(job, tile, 1'b0);
  assign take_weights = state == WEIGHTS && granted;
  assign take_inputs = state == INPUTS && (granted || (tile.new_inputs && inputs_free && no_inputs));
  assign take_sums = state == CLAIM && tile.new_sums && sums_free;
  assign loaded = noted_valid && received >= noted;

  fifo #(.WIDTH(32), .DEPTH(16)) notes (
    .clk, .reset, .push(state == NOTE), .in(accepted), .pop(loaded), .out(noted),
    .valid(noted_valid), .full(notes_full)
  );

  always_ff @(posedge clk) begin
    if (reset) begin
      state <= IDLE;
      accepted <= 0;
      received <= 0;
    end else begin
      if (granted) accepted <= accepted + 1;
      if (arrived) received <= received + 1;
      case (state)
        IDLE: if (valid) state <= WEIGHTS;
        WEIGHTS: if (!tile.new_weights || take_weights) state <= INPUTS;
        INPUTS: if (!tile.new_inputs || take_inputs) state <= CLAIM;
        CLAIM: if (!tile.new_sums || take_sums) state <= SUMS;
        SUMS: if (!tile.again || granted) state <= NOTE;
        default: state <= IDLE;
      endcase
    end
    if (pop) tile <= next;
  end
endmodule
