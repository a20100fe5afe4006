// vigil: the command line.
#include "tools/ctl/command_line.hpp"

int main(int argc, char** argv) { return vigil::ctl::run_command_line(argc, argv); }
