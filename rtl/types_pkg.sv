// What the modules hand to each other: the job's registers, tiles, transfers and bursts.
package types_pkg;

  typedef logic [31:0] word_t;

  // Dimensions of the layer; C and K count within one of G groups.
  localparam int DIMS = 8;
  localparam int R = 0, S = 1, P = 2, Q = 3, C = 4, K = 5, N = 6, G = 7;

  // The registers of a job (dse/cycles/job.py writes them). The last one has address 0; of several
  // of a kind, [0] has the lowest address.
  // Where there are two of a kind, [0] is of whole tiles and [1] of the last tile of its dimension.
  typedef struct packed {
    word_t [DIMS-1:0] tile;      // extent of a whole tile
    word_t [DIMS-1:0] edge_tile; // extent of the last tile
    word_t [DIMS-1:0] trips;     // tiles of each dimension
    word_t [DIMS-1:0] order;     // dimensions of the loops over tiles, innermost first
    word_t block_c;              // rows of the array that a block of weights takes
    word_t block_k;              // columns of the array
    word_t [1:0] blocks_c;       // blocks of a tile along C
    word_t [1:0] last_c;         // rows of the last of them
    word_t [1:0] blocks_k;
    word_t [1:0] last_k;
    word_t stride_x;
    word_t stride_y;
    word_t dilation_x;
    word_t dilation_y;
    word_t padding_x;            // zeros before the first column of the inputs
    word_t padding_y;
    word_t inputs_x;             // columns of the inputs in memory
    word_t inputs_y;
    word_t weights_at;           // addresses in memory, in bytes
    word_t inputs_at;
    word_t sums_at;
    word_t outputs_at;
    word_t weights_r;            // bytes from one r, s, c, g to the next
    word_t weights_s;
    word_t weights_c;
    word_t weights_g;
    word_t inputs_n;             // bytes from one image, row, column, group to the next
    word_t inputs_row;
    word_t inputs_column;
    word_t inputs_g;
    word_t outputs_n;            // outputs from one image, row, column, group to the next
    word_t outputs_q;
    word_t outputs_p;
    word_t outputs_g;
    word_t weights_joined;       // levels of the weights' box that lie in one piece: 0, 1, 2
    word_t inputs_joined;
    word_t output_bytes;         // of a final output: 1 or 4
    word_t [1:0] weights_half;   // addresses in the scratchpad
    word_t [1:0] inputs_half;
    word_t [1:0] sums_half;      // rows of the accumulator
    word_t weights_halves;       // 1 or 2
    word_t inputs_halves;
    word_t sums_halves;
    word_t latency;              // the memory: cycles from a request to its data
    word_t bytes_per_cycle;
    word_t in_flight;            // bursts under way
    word_t burst_bytes;
    word_t cache_lines;          // 0: no cache
    word_t cache_line_bits;      // their bytes are 2 to that power
    word_t cache_latency;        // cycles from a request that hits to its data
  } job_t;
  localparam int JOB_WORDS = $bits(job_t) / 32;

  // One tile, as the sequencer hands it to the units.
  typedef struct packed {
    word_t [DIMS-1:0] origin;
    word_t [DIMS-1:0] extent;
    word_t blocks_c;
    word_t last_c;
    word_t blocks_k;
    word_t last_k;
    word_t x;           // the inputs that are loaded: first column, first row, and how many
    word_t y;
    word_t columns;
    word_t rows;
    word_t x_before;    // columns and rows of padding before them
    word_t y_before;
    logic new_weights;  // other weights than the tile before
    logic new_inputs;
    logic new_sums;     // other outputs: a visit begins
    logic old_weights;  // the next tile has other weights
    logic old_inputs;
    logic old_sums;     // a visit ends
    logic again;        // its partial sums are in memory from an earlier visit
    logic complete;     // with this tile its outputs are complete
    logic weights_half;
    logic inputs_half;
    logic sums_half;
  } tile_t;
  localparam int TILE_BITS = $bits(tile_t);

  // A box in memory: five nested loops over pieces of equal length, [0] innermost, whose last
  // piece may be shorter. Pieces go to consecutive bytes of the scratchpad, or rows of the
  // accumulator.
  localparam int LEVELS = 5;
  typedef struct packed {
    logic write;
    logic sums;         // accumulator, not scratchpad
    logic narrow;       // sums become bytes on their way to memory
    word_t address;
    word_t local_at;
    word_t bytes;
    word_t last_bytes;
    word_t [LEVELS-1:0] count;
    word_t [LEVELS-1:0] stride;
  } transfer_t;

  // One request to the memory.
  typedef struct packed {
    logic write;
    logic sums;
    logic narrow;
    logic last;         // of its transfer
    word_t address;
    word_t local_at;
    word_t offset;      // bytes of the piece before it
    word_t bytes;
  } burst_t;
  localparam int BURST_BITS = $bits(burst_t);

endpackage
