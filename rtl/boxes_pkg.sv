// Where a tile's data lie in memory. Tensors are stored
//   weights [R][S][C][G][K], inputs [N][row][column][G][C], outputs and sums [N][Q][P][G][K]
// and a tile of them is stored in the same order, packed, in the scratchpad.
//
// Innermost levels that are whole lie in one piece: with all of K, weights of several groups are
// joined, and with all groups those of several c; with all of C, inputs of several groups, and
// with all groups those of several columns. Sums go by rows of the accumulator: a block of K each.
package boxes_pkg;
  import types_pkg::*;

  function automatic transfer_t weights_box(job_t job, tile_t tile);
    transfer_t box;
    box = '0;
    box.address = job.weights_at + tile.origin[R] * job.weights_r + tile.origin[S] * job.weights_s
                + tile.origin[C] * job.weights_c + tile.origin[G] * job.weights_g + tile.origin[K];
    box.local_at = job.weights_half[tile.weights_half];
    box.bytes = tile.extent[K];
    box.count = {32'd1, tile.extent[R], tile.extent[S], tile.extent[C], tile.extent[G]};
    box.stride = {32'd0, job.weights_r, job.weights_s, job.weights_c, job.weights_g};
    if (job.weights_joined != 0) begin
      box.bytes = box.bytes * tile.extent[G];
      box.count[0] = 1;
    end
    if (job.weights_joined == 2) begin
      box.bytes = box.bytes * tile.extent[C];
      box.count[1] = 1;
    end
    box.last_bytes = box.bytes;
    return box;
  endfunction

  function automatic transfer_t inputs_box(job_t job, tile_t tile);
    transfer_t box;
    box = '0;
    box.address = job.inputs_at + tile.origin[N] * job.inputs_n + tile.y * job.inputs_row
                + tile.x * job.inputs_column + tile.origin[G] * job.inputs_g + tile.origin[C];
    box.local_at = job.inputs_half[tile.inputs_half];
    box.bytes = tile.extent[C];
    box.count = {32'd1, tile.extent[N], tile.rows, tile.columns, tile.extent[G]};
    box.stride = {32'd0, job.inputs_n, job.inputs_row, job.inputs_column, job.inputs_g};
    if (job.inputs_joined != 0) begin
      box.bytes = box.bytes * tile.extent[G];
      box.count[0] = 1;
    end
    if (job.inputs_joined == 2) begin
      box.bytes = box.bytes * tile.columns;
      box.count[1] = 1;
    end
    box.last_bytes = box.bytes;
    return box;
  endfunction

  // Complete outputs may be narrow; what is read back never is.
  function automatic transfer_t sums_box(job_t job, tile_t tile, logic write);
    transfer_t box;
    logic outputs;
    word_t size;
    outputs = write && tile.complete;
    size = outputs ? job.output_bytes : 4;
    box = '0;
    box.write = write;
    box.sums = 1;
    box.narrow = outputs && job.output_bytes == 1;
    box.address = (outputs ? job.outputs_at : job.sums_at)
                + (tile.origin[N] * job.outputs_n + tile.origin[Q] * job.outputs_q
                   + tile.origin[P] * job.outputs_p + tile.origin[G] * job.outputs_g
                   + tile.origin[K]) * size;
    box.local_at = job.sums_half[tile.sums_half];
    box.bytes = (tile.blocks_k == 1 ? tile.last_k : job.block_k) * size;
    box.last_bytes = tile.last_k * size;
    box.count = {tile.extent[N], tile.extent[Q], tile.extent[P], tile.extent[G], tile.blocks_k};
    box.stride = {job.outputs_n * size, job.outputs_q * size, job.outputs_p * size, job.outputs_g * size, job.block_k * size};
    return box;
  endfunction

endpackage
