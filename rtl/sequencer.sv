// Walks the loops over tiles: one tile a cycle, as long as all three queues have room.
//
// A tile is described by its first index and its extent in every dimension, by the rectangle of
// inputs that it needs (what of it is padding is not loaded), and by what changes with it. An
// operand is new where an index that it depends on has changed; a visit is a run of tiles with the
// same outputs. Sums of a visit that is not the last one of its outputs go to memory and come
// back with the next visit.
module sequencer (
  input  logic clk,
  input  logic reset,
  input  logic start,
  input  types_pkg::job_t job,
  input  logic load_full,
  input  logic execute_full,
  input  logic store_full,
  output logic push,
  output types_pkg::tile_t tile,
  output logic running
);
  import types_pkg::*;

  word_t index [DIMS];
  word_t origin [DIMS];
  logic [DIMS-1:0] changed;       // dimensions whose index is another one than in the tile before
  logic [DIMS-1:0] last;          // dimensions that are at their last tile
  logic [DIMS-1:0] first;
  logic [DIMS-1:0] next_changed;
  logic all_last;
  logic weights_half, inputs_half, sums_half;

  localparam logic [DIMS-1:0] WEIGHTS = (1 << R) | (1 << S) | (1 << C) | (1 << K) | (1 << G);
  localparam logic [DIMS-1:0] INPUTS =
      (1 << R) | (1 << S) | (1 << P) | (1 << Q) | (1 << C) | (1 << N) | (1 << G);
  localparam logic [DIMS-1:0] OUTPUTS = (1 << P) | (1 << Q) | (1 << K) | (1 << N) | (1 << G);
  localparam logic [DIMS-1:0] REDUCED = (1 << R) | (1 << S) | (1 << C);

  // Which loops step: those inside the first one, from the inside, that is not at its end.
  always_comb begin
    for (int d = 0; d < DIMS; d++) begin
      last[d] = index[d] == job.trips[d] - 1;
      first[d] = index[d] == 0;
    end
    next_changed = '0;
    all_last = 1;
    for (int j = 0; j < DIMS; j++) begin
      if (all_last && !(last[job.order[j][2:0]] && first[job.order[j][2:0]]))
        next_changed[job.order[j][2:0]] = 1;
      all_last = all_last && last[job.order[j][2:0]];
    end
    if (all_last) next_changed = '1;
  end

  // The window of inputs along x and y.
  word_t extent [DIMS];
  word_t x_from, x_to, y_from, y_to, x_low, x_high, y_low, y_high;
  always_comb begin
    for (int d = 0; d < DIMS; d++) extent[d] = last[d] ? job.edge_tile[d] : job.tile[d];
    x_from = origin[P] * job.stride_x + origin[R] * job.dilation_x - job.padding_x;
    y_from = origin[Q] * job.stride_y + origin[S] * job.dilation_y - job.padding_y;
    x_to = x_from + (extent[P] - 1) * job.stride_x + (extent[R] - 1) * job.dilation_x + 1;
    y_to = y_from + (extent[Q] - 1) * job.stride_y + (extent[S] - 1) * job.dilation_y + 1;
    x_low = $signed(x_from) < 0 ? 0 : x_from;
    y_low = $signed(y_from) < 0 ? 0 : y_from;
    x_high = $signed(x_to) > $signed(job.inputs_x) ? job.inputs_x : x_to;
    y_high = $signed(y_to) > $signed(job.inputs_y) ? job.inputs_y : y_to;
  end

  always_comb begin
    for (int d = 0; d < DIMS; d++) begin
      tile.origin[d] = origin[d];
      tile.extent[d] = extent[d];
    end
    tile.blocks_c = job.blocks_c[last[C]];
    tile.last_c = job.last_c[last[C]];
    tile.blocks_k = job.blocks_k[last[K]];
    tile.last_k = job.last_k[last[K]];
    tile.x = x_low;
    tile.y = y_low;
    tile.columns = $signed(x_high) > $signed(x_low) ? x_high - x_low : 0;
    tile.rows = $signed(y_high) > $signed(y_low) ? y_high - y_low : 0;
    tile.x_before = x_low - x_from;
    tile.y_before = y_low - y_from;
    tile.new_weights = |(changed & WEIGHTS);
    tile.new_inputs = |(changed & INPUTS);
    tile.new_sums = |(changed & OUTPUTS);
    tile.old_weights = |(next_changed & WEIGHTS);
    tile.old_inputs = |(next_changed & INPUTS);
    tile.old_sums = |(next_changed & OUTPUTS);
    tile.again = tile.new_sums && |(~first & REDUCED);
    tile.complete = &(last | ~REDUCED);
    tile.weights_half = weights_half;
    tile.inputs_half = inputs_half;
    tile.sums_half = sums_half;
  end

  assign push = running && !load_full && !execute_full && !(tile.old_sums && store_full);

  always_ff @(posedge clk) begin
    if (reset) running <= 0;
    else if (start) running <= 1;
    else if (push && all_last) running <= 0;
    if (reset) begin
      changed <= '1;
      weights_half <= 0;
      inputs_half <= 0;
      sums_half <= 0;
      for (int d = 0; d < DIMS; d++) begin
        index[d] <= 0;
        origin[d] <= 0;
      end
    end else if (push) begin
      changed <= next_changed;
      weights_half <= weights_half ^ (tile.old_weights && job.weights_halves == 2);
      inputs_half <= inputs_half ^ (tile.old_inputs && job.inputs_halves == 2);
      sums_half <= sums_half ^ (tile.old_sums && job.sums_halves == 2);
      for (int d = 0; d < DIMS; d++) begin
        if (next_changed[d]) begin
          index[d] <= last[d] ? 0 : index[d] + 1;
          origin[d] <= last[d] ? 0 : origin[d] + job.tile[d];
        end
      end
    end
  end
endmodule
