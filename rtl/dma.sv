// Turns transfers into bursts for the memory, one transfer after the other.
//
// In a cycle in which it is idle it accepts a transfer; a store goes before a load. From the next
// cycle on it issues one burst a cycle, unless as many as allowed are under way. Pieces are cut into
// bursts of at most `burst_bytes`. In the cycle after the last burst it is idle again.
module dma (
  input  logic clk,
  input  logic reset,
  input  types_pkg::word_t burst_bytes,
  input  logic load_request,
  input  types_pkg::transfer_t load,
  output logic load_granted,
  input  logic store_request,
  input  types_pkg::transfer_t store,
  output logic store_granted,
  input  logic ready,          // the memory takes a burst
  output logic issue,
  output types_pkg::burst_t burst
);
  import types_pkg::*;

  logic busy;
  transfer_t job;              // the transfer under way
  word_t index [LEVELS];
  word_t at [LEVELS];          // where the piece lies from which each level steps
  word_t local_at;
  word_t offset;               // bytes of the piece that have been asked for

  word_t piece, left;
  logic piece_ends, transfer_ends;
  logic [LEVELS-1:0] ends;     // levels at their last index

  always_comb begin
    for (int i = 0; i < LEVELS; i++) ends[i] = index[i] == job.count[i] - 1;
    piece = ends[0] ? job.last_bytes : job.bytes;
    left = piece - offset;
    piece_ends = left <= burst_bytes;
    transfer_ends = piece_ends && &ends;
  end

  transfer_t accepted;
  assign accepted = store_request ? store : load;
  assign store_granted = !busy && store_request;
  assign load_granted = !busy && !store_request && load_request;
  assign issue = busy && ready;
  assign burst.write = job.write;
  assign burst.sums = job.sums;
  assign burst.narrow = job.narrow;
  assign burst.last = transfer_ends;
  assign burst.address = at[0] + offset;
  assign burst.local_at = local_at;
  assign burst.offset = offset;
  assign burst.bytes = piece_ends ? left : burst_bytes;

  always_ff @(posedge clk) begin
    if (reset) busy <= 0;
    else if (store_granted || load_granted) busy <= 1;
    else if (issue && transfer_ends) busy <= 0;

    if (store_granted || load_granted) begin
      job <= accepted;
      local_at <= accepted.local_at;
      offset <= 0;
      for (int i = 0; i < LEVELS; i++) begin
        index[i] <= 0;
        at[i] <= accepted.address;
      end
    end else if (issue) begin
      if (!piece_ends) offset <= offset + burst_bytes;
      else begin
        offset <= 0;
        local_at <= local_at + (job.sums ? 1 : piece);
        step_levels();
      end
    end
  end

  // The innermost level that is not at its end steps; those inside it begin anew there.
  task automatic step_levels();
    logic stepped;
    stepped = 0;
    for (int i = 0; i < LEVELS; i++) begin
      if (!stepped) begin
        index[i] <= ends[i] ? 0 : index[i] + 1;
        if (!ends[i]) begin
          stepped = 1;
          for (int k = 0; k <= i; k++) at[k] <= at[i] + job.stride[i];
        end
      end
    end
  endtask
endmodule
