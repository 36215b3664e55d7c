// Runs a tile through the array, block by block: a block is a weight for each element.
//
// A tile that is loaded is taken from the queue; from the next cycle on there is one phase for each
// block and one before them. In a phase, rows of the next block's weights go to the array, one a
// cycle, while the inputs of all outputs of the tile go through the present block, one output
// a cycle. A phase takes as long as the longer of the two; the first has weights only, the last has
// inputs only. In the last cycle, what the next tile does not use is free.
//
// Blocks come in the order: groups, blocks of K, S, R, blocks of C (innermost); outputs in the order
// N, Q, P. The first block of new outputs writes their sums, every other one adds to them.
module executor #(
  parameter int DIM = 16
) (
  input  logic clk,
  input  logic reset,
  input  types_pkg::job_t job,
  input  logic valid,
  input  types_pkg::tile_t next,
  input  logic loaded,
  output logic pop,
  output logic give_weights,
  output logic give_inputs,
  output logic visit_ends,
  output logic idle,
  // to the scratchpad, and one cycle later to the array
  output logic read_weights,
  output types_pkg::word_t weights_at,
  output logic [$clog2(2*DIM)-1:0] weights_place,
  output logic read_inputs,
  output types_pkg::word_t inputs_at,
  output types_pkg::word_t inputs_count,
  output logic inputs_bank,
  // with the sums
  output logic first,
  output types_pkg::word_t row,
  output types_pkg::word_t columns
);
  import types_pkg::*;

  typedef struct packed {word_t c, r, s, k, g;} block_t;

  logic busy;
  tile_t tile;
  block_t loading, streaming;
  logic load_on, load_done, stream_on, stream_done;
  logic bank;                        // that is being filled
  word_t weight_row;
  word_t n, q, p;

  assign idle = !busy;
  assign pop = !busy && valid && loaded;

  // ------------------------------------------------------------------------ weights
  word_t weight_rows;
  logic weights_end, blocks_end;
  assign weight_rows = loading.c == tile.blocks_c - 1 ? tile.last_c : job.block_c;
  assign read_weights = busy && load_on && !load_done;
  assign weights_end = weight_row == weight_rows - 1;
  assign weights_at = job.weights_half[tile.weights_half]
      + (((loading.r * tile.extent[S] + loading.s) * tile.extent[C]
          + loading.c * job.block_c + weight_row) * tile.extent[G] + loading.g) * tile.extent[K]
      + loading.k * job.block_k;
  assign weights_place = {bank, weight_row[$clog2(DIM)-1:0]};
  assign blocks_end = loading.c == tile.blocks_c - 1 && loading.r == tile.extent[R] - 1
      && loading.s == tile.extent[S] - 1 && loading.k == tile.blocks_k - 1
      && loading.g == tile.extent[G] - 1;

  function automatic block_t after(block_t b, tile_t t);
    after = b;
    after.c = b.c + 1;
    if (after.c == t.blocks_c) begin
      after.c = 0;
      after.r = b.r + 1;
      if (after.r == t.extent[R]) begin
        after.r = 0;
        after.s = b.s + 1;
        if (after.s == t.extent[S]) begin
          after.s = 0;
          after.k = b.k + 1;
          if (after.k == t.blocks_k) begin
            after.k = 0;
            after.g = b.g + 1;
          end
        end
      end
    end
  endfunction

  // ------------------------------------------------------------------------- inputs
  word_t x, y;                       // in the rectangle that was loaded
  logic covered, stream_ends;
  assign x = p * job.stride_x + streaming.r * job.dilation_x - tile.x_before;
  assign y = q * job.stride_y + streaming.s * job.dilation_y - tile.y_before;
  assign covered = x < tile.columns && y < tile.rows;  // negative ones are large
  assign read_inputs = busy && stream_on && !stream_done;
  assign inputs_at = job.inputs_half[tile.inputs_half]
      + (((n * tile.rows + y) * tile.columns + x) * tile.extent[G] + streaming.g) * tile.extent[C]
      + streaming.c * job.block_c;
  assign inputs_count = !covered ? 0
      : streaming.c == tile.blocks_c - 1 ? tile.last_c : job.block_c;
  assign inputs_bank = !bank;
  assign stream_ends = p == tile.extent[P] - 1 && q == tile.extent[Q] - 1
      && n == tile.extent[N] - 1;
  assign first = tile.new_sums && !tile.again
      && streaming.c == 0 && streaming.r == 0 && streaming.s == 0;
  assign row = job.sums_half[tile.sums_half]
      + (((n * tile.extent[Q] + q) * tile.extent[P] + p) * tile.extent[G] + streaming.g)
      * tile.blocks_k + streaming.k;
  assign columns = streaming.k == tile.blocks_k - 1 ? tile.last_k : job.block_k;

  // ------------------------------------------------------------------------- phases
  logic phase_ends, tile_ends;
  assign phase_ends = busy && (!load_on || load_done || weights_end)
      && (!stream_on || stream_done || stream_ends);
  assign tile_ends = phase_ends && !load_on;
  assign give_weights = tile_ends && tile.old_weights;
  assign give_inputs = tile_ends && tile.old_inputs;
  assign visit_ends = tile_ends && tile.old_sums;

  always_ff @(posedge clk) begin
    if (pop) tile <= next;
    if (reset) begin
      busy <= 0;
      bank <= 0;
    end else if (pop) begin
      busy <= 1;
      loading <= '0;
      load_on <= 1;
      stream_on <= 0;
    end else if (tile_ends) busy <= 0;
    else if (phase_ends) begin
      streaming <= loading;
      stream_on <= 1;
      loading <= after(loading, tile);
      load_on <= !blocks_end;
      bank <= !bank;
    end
    if (pop || phase_ends) begin
      load_done <= 0;
      stream_done <= 0;
      weight_row <= 0;
      n <= 0;
      q <= 0;
      p <= 0;
    end else begin
      if (read_weights) begin
        weight_row <= weight_row + 1;
        load_done <= weights_end;
      end
      if (read_inputs) begin
        stream_done <= stream_ends;
        p <= p + 1;
        if (p == tile.extent[P] - 1) begin
          p <= 0;
          q <= q + 1;
          if (q == tile.extent[Q] - 1) begin
            q <= 0;
            n <= n + 1;
          end
        end
      end
    end
  end
endmodule
