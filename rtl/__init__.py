"""The accelerator in SystemVerilog, and its testbench in C++."""
