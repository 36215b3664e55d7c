// The memory's timing: bursts, reads and writes alike, are served in the order in which they come.
//
// A burst that is issued in cycle n has the bus from cycle n + its latency on, or from when the one
// before it has left it, and keeps it for one cycle for each `bytes_per_cycle` begun. At most
// `in_flight` bursts are under way, from the cycle after they were issued to the last on the bus.
// The bytes themselves are the testbench's: they are read, or written, in the cycle on the bus.
module memory #(
  parameter int MOST_IN_FLIGHT = 64
) (
  input  logic clk,
  input  logic reset,
  input  types_pkg::word_t now,
  input  types_pkg::word_t latency,   // of the burst that is issued
  input  types_pkg::word_t bytes_per_cycle,
  input  types_pkg::word_t in_flight,
  input  logic issue,
  input  types_pkg::burst_t in,
  output logic ready,
  output logic beat,                  // the bus is in use
  output types_pkg::burst_t burst,    // by this one,
  output types_pkg::word_t moved,     // of which so many bytes have gone before,
  output types_pkg::word_t bytes,     // and so many go now
  output logic load_arrived,
  output logic store_arrived
);
  import types_pkg::*;

  localparam int BITS = $clog2(MOST_IN_FLIGHT);
  logic [BURST_BITS-1:0] entry [MOST_IN_FLIGHT];
  word_t due [MOST_IN_FLIGHT];
  logic [BITS-1:0] head, tail;
  word_t count;
  logic ends;

  assign ready = count < in_flight;
  assign burst = entry[head];
  assign beat = count != 0 && now >= due[head];
  assign ends = burst.bytes - moved <= bytes_per_cycle;
  assign bytes = ends ? burst.bytes - moved : bytes_per_cycle;
  assign load_arrived = beat && ends && burst.last && !burst.write;
  assign store_arrived = beat && ends && burst.last && burst.write;

  always_ff @(posedge clk) begin
    if (reset) begin
      head <= 0;
      tail <= 0;
      count <= 0;
      moved <= 0;
    end else begin
      if (issue) begin
        entry[tail] <= in;
        due[tail] <= now + latency;
        tail <= tail + 1;
      end
      if (beat) begin
        moved <= ends ? 0 : moved + bytes_per_cycle;
        if (ends) head <= head + 1;
      end
      if (issue != (beat && ends)) count <= issue ? count + 1 : count - 1;
    end
  end
endmodule
