// Runs jobs, one after the other, on the accelerator.
//
//   testbench JOBS RESULTS
//
// JOBS holds for each job, little endian: cycle limit (8 bytes), bytes of memory (8), number of
// registers (4), number of regions (4), address and size of the results (8 + 8), the registers (4
// each), and for each region its address and size (8 + 8) and its bytes. RESULTS gets for each job:
// 1 if it ended within the limit, else 0 (8), its cycles (8), and the bytes of the results. The
// exit status is 2 for files that cannot be read or written, and 3 where the accelerator reaches
// beyond the memory that the job gave it.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vaccelerator.h"
#include "verilated.h"

namespace {

[[noreturn]] void fail(int status, const char* what) {
  std::fprintf(stderr, "testbench: %s\n", what);
  std::exit(status);
}

template <typename T>
T read_value(std::FILE* file) {
  T value;
  if (std::fread(&value, sizeof value, 1, file) != 1) fail(2, "the file of jobs ends early");
  return value;
}

void read_bytes(std::FILE* file, uint8_t* to, size_t count) {
  if (count && std::fread(to, 1, count, file) != count) fail(2, "the file of jobs ends early");
}

void write_bytes(std::FILE* file, const void* from, size_t count) {
  if (count && std::fwrite(from, 1, count, file) != count) fail(2, "results cannot be written");
}

struct Job {
  uint64_t limit, results_at, results_size;
  std::vector<uint32_t> registers;
  std::vector<uint8_t> memory;
};

void check(const Job& job, uint64_t at, uint64_t size, int status) {
  if (at > job.memory.size() || size > job.memory.size() - at)
    fail(status, "an address lies beyond the memory");
}

Job read_job(std::FILE* file, uint64_t limit) {
  Job job;
  job.limit = limit;
  job.memory.resize(read_value<uint64_t>(file));
  job.registers.resize(read_value<uint32_t>(file));
  uint32_t regions = read_value<uint32_t>(file);
  job.results_at = read_value<uint64_t>(file);
  job.results_size = read_value<uint64_t>(file);
  check(job, job.results_at, job.results_size, 2);
  for (uint32_t& value : job.registers) value = read_value<uint32_t>(file);
  for (uint32_t i = 0; i < regions; i++) {
    uint64_t at = read_value<uint64_t>(file);
    uint64_t size = read_value<uint64_t>(file);
    check(job, at, size, 2);
    read_bytes(file, job.memory.data() + at, size);
  }
  return job;
}

class Bench {
 public:
  explicit Bench(VerilatedContext* context) : top_(context) {
    top_.clk = 0;
    top_.eval();  // else the first edge is not seen
  }

  // Returns whether the job ended; `cycles` is then how long it took.
  bool run(Job& job, uint64_t& cycles) {
    top_.reset = 1;
    top_.start = 0;
    for (size_t i = 0; i < job.registers.size(); i++) {
      top_.register_write = 1;
      top_.register_index = i;
      top_.register_value = job.registers[i];
      step();
    }
    top_.register_write = 0;
    do step();
    while (!top_.empty);
    top_.reset = 0;
    top_.start = 1;
    step();
    top_.start = 0;
    for (;;) {
      cycles = top_.now;
      if (top_.done) return true;
      if (cycles >= job.limit) return false;
      if (top_.bus_valid) move(job);
      step();
    }
  }

 private:
  void step() {
    top_.clk = 1;
    top_.eval();
    top_.clk = 0;
    top_.eval();
  }

  // What the bus moves in this cycle; what is read is taken at the end of it.
  void move(Job& job) {
    uint32_t at = top_.bus_address, size = top_.bus_bytes;
    check(job, at, size, 3);
    if (top_.bus_write)
      std::memcpy(job.memory.data() + at, &top_.bus_out, size);
    else
      std::memcpy(&top_.bus_in, job.memory.data() + at, size);
  }

  Vaccelerator top_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) fail(2, "expected JOBS and RESULTS");
  std::FILE* jobs = std::fopen(argv[1], "rb");
  std::FILE* results = std::fopen(argv[2], "wb");
  if (!jobs || !results) fail(2, "a file cannot be opened");
  VerilatedContext context;
  Bench bench(&context);
  uint64_t limit;
  while (std::fread(&limit, sizeof limit, 1, jobs) == 1) {
    Job job = read_job(jobs, limit);
    uint64_t cycles = 0;
    uint64_t ended = bench.run(job, cycles);
    write_bytes(results, &ended, sizeof ended);
    write_bytes(results, &cycles, sizeof cycles);
    write_bytes(results, job.memory.data() + job.results_at, job.results_size);
  }
  if (std::fclose(results)) fail(2, "results cannot be written");
  return 0;
}
