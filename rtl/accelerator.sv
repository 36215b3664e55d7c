// The accelerator: sequencer, three units with a queue each, scratchpad, array, accumulator, DMA and
// the memory's timing, with a cache or without. Registers of the job are written while `reset` is
// high; it stays so until the cache is `empty`. The first cycle with `start` is the one before
// cycle 0. `done` comes when the last output is in memory.
module accelerator #(
  parameter int DIM = 16,                  // rows and columns of the array
  parameter int SCRATCHPAD_BYTES = 1 << 18,
  parameter int ACCUMULATOR_ROWS = 1024,   // of DIM sums each
  parameter int BUS = 16,                  // most bytes a cycle
  parameter int MOST_IN_FLIGHT = 64,
  parameter int MOST_CACHE_LINES = 1 << 16,
  parameter int QUEUE = 4                  // tiles
) (
  input  logic clk,
  input  logic reset,
  input  logic start,
  input  logic register_write,
  input  logic [7:0] register_index,
  input  types_pkg::word_t register_value,
  output logic empty,
  output logic done,
  output types_pkg::word_t now,
  // the bytes on the memory's bus
  output logic bus_valid,
  output logic bus_write,
  output types_pkg::word_t bus_address,
  output types_pkg::word_t bus_bytes,
  output logic [8*BUS-1:0] bus_out,
  input  logic [8*BUS-1:0] bus_in
);
  import types_pkg::*;

  localparam int ROW_BITS = $clog2(ACCUMULATOR_ROWS);
  localparam int ALONG = 10 + ROW_BITS;   // valid, first, columns, row

  // ------------------------------------------------------------------------ the job
  word_t [JOB_WORDS-1:0] registers;
  job_t job;
  assign job = registers;
  always_ff @(posedge clk) if (register_write) registers[register_index[6:0]] <= register_value;

  always_ff @(posedge clk) now <= reset || start ? 0 : now + 1;

  // ---------------------------------------------------------------- tiles and queues
  logic running, push, load_full, execute_full, store_full;
  tile_t tile, load_tile, execute_tile, store_tile;
  logic load_valid, execute_valid, store_valid, load_pop, execute_pop, store_pop;

  sequencer sequence_tiles (
    .clk, .reset, .start, .job, .load_full, .execute_full, .store_full, .push, .tile, .running
  );
  fifo #(.WIDTH(TILE_BITS), .DEPTH(QUEUE)) load_queue (
    .clk, .reset, .push, .in(tile), .pop(load_pop), .out(load_tile), .valid(load_valid),
    .full(load_full)
  );
  fifo #(.WIDTH(TILE_BITS), .DEPTH(QUEUE)) execute_queue (
    .clk, .reset, .push, .in(tile), .pop(execute_pop), .out(execute_tile),
    .valid(execute_valid), .full(execute_full)
  );
  fifo #(.WIDTH(TILE_BITS), .DEPTH(QUEUE)) store_queue (
    .clk, .reset, .push(push && tile.old_sums), .in(tile), .pop(store_pop), .out(store_tile),
    .valid(store_valid), .full(store_full)
  );

  // --------------------------------------------------------- what units wait for
  logic give_weights, give_inputs, give_sums, give_loaded, give_drained;
  logic take_weights, take_inputs, take_sums, take_drained;
  logic weights_free, inputs_free, sums_free, loaded, drained;

  credit weights_halves (
    .clk, .reset, .initial_count(job.weights_halves), .give(give_weights), .take(take_weights),
    .available(weights_free)
  );
  credit inputs_halves (
    .clk, .reset, .initial_count(job.inputs_halves), .give(give_inputs), .take(take_inputs),
    .available(inputs_free)
  );
  credit sums_halves (
    .clk, .reset, .initial_count(job.sums_halves), .give(give_sums), .take(take_sums),
    .available(sums_free)
  );
  credit loaded_tiles (
    .clk, .reset, .initial_count(0), .give(give_loaded), .take(execute_pop), .available(loaded)
  );
  credit drained_visits (
    .clk, .reset, .initial_count(0), .give(give_drained), .take(take_drained), .available(drained)
  );

  // -------------------------------------------------------------- loads and stores
  logic load_request, load_granted, load_arrived, store_request, store_granted, store_arrived;
  logic store_idle, execute_idle;
  transfer_t load_transfer, store_transfer;

  loader load (
    .clk, .reset, .job, .valid(load_valid), .next(load_tile), .pop(load_pop), .weights_free,
    .inputs_free, .sums_free, .take_weights, .take_inputs, .take_sums, .request(load_request),
    .transfer(load_transfer), .granted(load_granted), .arrived(load_arrived), .loaded(give_loaded)
  );
  storer store (
    .clk, .reset, .job, .valid(store_valid), .next(store_tile), .pop(store_pop), .drained,
    .take_drained, .request(store_request), .transfer(store_transfer), .granted(store_granted),
    .arrived(store_arrived), .give_sums, .idle(store_idle)
  );

  logic ready, issue, hit;
  burst_t issued, burst;
  word_t moved;
  dma transfers (
    .clk, .reset, .burst_bytes(job.burst_bytes), .load_request, .load(load_transfer),
    .load_granted, .store_request, .store(store_transfer), .store_granted, .ready, .issue,
    .burst(issued)
  );
  cache #(.MOST_LINES(MOST_CACHE_LINES)) last_level (
    .clk, .reset, .lines(job.cache_lines), .line_bits(job.cache_line_bits), .issue, .in(issued),
    .hit, .empty
  );
  memory #(.MOST_IN_FLIGHT(MOST_IN_FLIGHT)) channel (
    .clk, .reset, .now, .latency(hit ? job.cache_latency : job.latency),
    .bytes_per_cycle(job.bytes_per_cycle),
    .in_flight(job.in_flight), .issue, .in(issued), .ready, .beat(bus_valid), .burst, .moved,
    .bytes(bus_bytes), .load_arrived, .store_arrived
  );
  assign bus_write = burst.write;
  assign bus_address = burst.address + moved;

  // --------------------------------------------------------------------- execution
  logic visit_ends, read_weights, read_inputs, inputs_bank, first;
  word_t weights_at, inputs_at, inputs_count, row, columns;
  logic [$clog2(2*DIM)-1:0] weights_place;
  logic [7:0] weights [DIM], inputs [DIM];

  executor #(.DIM(DIM)) execute (
    .clk, .reset, .job, .valid(execute_valid), .next(execute_tile), .loaded, .pop(execute_pop),
    .give_weights, .give_inputs, .visit_ends, .idle(execute_idle), .read_weights, .weights_at,
    .weights_place, .read_inputs, .inputs_at, .inputs_count, .inputs_bank, .first, .row, .columns
  );
  scratchpad #(.DIM(DIM), .BUS(BUS), .BYTES(SCRATCHPAD_BYTES)) operands (
    .clk, .write(bus_valid && !burst.write && !burst.sums),
    .write_at(burst.local_at + burst.offset + moved), .write_count(bus_bytes),
    .write_data(bus_in), .read_weights, .weights_at, .weights, .read_inputs, .inputs_at,
    .inputs_count, .inputs
  );

  // What comes with a row goes along: one cycle to the array, then down and to the right.
  logic weights_valid, bank_in;
  logic [$clog2(2*DIM)-1:0] place_in;
  logic [2*DIM-1:0] ends_after;      // a visit's end, until its sums are in place
  always_ff @(posedge clk) begin
    weights_valid <= read_weights && !reset;
    place_in <= weights_place;
    bank_in <= inputs_bank;
    ends_after <= reset ? 0 : {ends_after[2*DIM-2:0], visit_ends};
  end
  assign give_drained = ends_after[2*DIM-1];

  logic [ALONG-1:0] along;
  delay #(.WIDTH(ALONG), .CYCLES(DIM)) down (
    .clk, .enable(1'b1), .in({read_inputs && !reset, first, columns[7:0], row[ROW_BITS-1:0]}),
    .out(along)
  );
  for (genvar j = 0; j < DIM; j++) begin : g_right
    logic [ALONG-1:0] here;          // with the sum that leaves column j
    if (j == 0) begin : g_first
      always_ff @(posedge clk) here <= along;
    end else begin : g_next
      always_ff @(posedge clk) here <= g_right[j-1].here;
    end
  end

  // The array's clock stops when nothing is under way in it.
  logic enable;
  word_t quiet;
  always_ff @(posedge clk) quiet <= reset || read_inputs || read_weights ? 0 : quiet + 1;
  assign enable = quiet <= 2 * DIM;

  logic signed [31:0] sums [DIM];
  mesh #(.DIM(DIM)) array (
    .clk, .enable, .inputs, .inputs_bank(bank_in), .weights_valid, .weights_place(place_in),
    .weights, .sums
  );

  logic [DIM-1:0] add_valid, add_first;
  logic [ROW_BITS-1:0] add_row [DIM];
  for (genvar j = 0; j < DIM; j++) begin : g_add
    assign add_valid[j] = g_right[j].here[ALONG-1] && j < 32'(g_right[j].here[ROW_BITS+:8]);
    assign add_first[j] = g_right[j].here[ALONG-2];
    assign add_row[j] = g_right[j].here[ROW_BITS-1:0];
  end
  accumulator #(.DIM(DIM), .BUS(BUS), .ROWS(ACCUMULATOR_ROWS)) results (
    .clk, .add_valid, .add_first, .add_row, .add_sum(sums), .row(burst.local_at),
    .offset(burst.offset + moved), .narrow(burst.narrow),
    .write(bus_valid && !burst.write && burst.sums), .write_count(bus_bytes),
    .write_data(bus_in), .read_data(bus_out)
  );

  // ------------------------------------------------------------------------- the end
  logic started;
  always_ff @(posedge clk) started <= !reset && (started || start);
  assign done = started && !running && !load_valid && !execute_valid && !store_valid && execute_idle
      && store_idle && ends_after == 0 && !drained;
endmodule
