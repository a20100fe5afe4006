// vigil-agent: the blocking side of a node. All of it is in program.cpp.
#include "runtime/agent/program.hpp"

int main(int argc, char** argv) { return vigil::agent::run_program(argc, argv); }
