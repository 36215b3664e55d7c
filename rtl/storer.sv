// Sends the sums of a visit to memory and frees their half of the accumulator.
//
// A tile that ends a visit is taken from the queue; from the next cycle on, as soon as its last
// sum is in the accumulator, the transfer is requested; when its last byte is in memory, the half
// is free and the next tile may be taken.
module storer (
  input  logic clk,
  input  logic reset,
  input  types_pkg::job_t job,
  input  logic valid,
  input  types_pkg::tile_t next,
  output logic pop,
  input  logic drained,       // a visit whose sums are in the accumulator
  output logic take_drained,
  output logic request,
  output types_pkg::transfer_t transfer,
  input  logic granted,
  input  logic arrived,       // the last byte in memory
  output logic give_sums,
  output logic idle
);
  import types_pkg::*;
  import boxes_pkg::*;

  typedef enum logic [1:0] {IDLE, WAIT, SENT} state_t;
  state_t state;
  tile_t tile;

  assign idle = state == IDLE;
  assign pop = idle && valid;
  assign request = state == WAIT && drained;
  assign take_drained = granted;
  assign transfer = sums_box(job, tile, 1'b1);
  assign give_sums = arrived;

  always_ff @(posedge clk) begin
    if (reset) state <= IDLE;
    else
      case (state)
        IDLE: if (valid) state <= WAIT;
        WAIT: if (granted) state <= SENT;
        default: if (arrived) state <= IDLE;
      endcase
    if (pop) tile <= next;
  end
endmodule
