# Vigil. `make help` lists what can be done.
#
# One static library (libvigil.a) holds every room; a program is a file named <program>_main.cpp; a
# unit test is a file tests/unit/<room>/<module>_test.cpp and becomes a program of its own. New files
# are found by themselves.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
SAN     ?=
SEEDS   ?= 10000
CXX     ?= g++
ifeq ($(origin CXX),default)
CXX := g++
endif
CLANG   ?= clang
CLANGXX ?= clang++

ifneq ($(SAN),)
override BUILD := $(BUILD)/san
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
endif

PKGS     := liburing libnl-3.0 libnl-route-3.0 libbpf libsodium
# Asked once, and only when something is compiled: before `make deps` there is nothing to ask.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null | sed 's/-I/-isystem /g'))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null))$(PKG_LIBS)

WARN     := -Wall -Wextra -Wconversion -Wshadow -Werror
OPT      ?= -O2 -g1
CXXFLAGS_ALL = -std=c++23 -pipe $(OPT) $(WARN) $(SANFLAGS) -fno-strict-aliasing -pthread -I. $(PKG_CFLAGS) $(CXXFLAGS)
LDLIBS_ALL   = $(PKG_LIBS) -lelf -lz -pthread

# What waits for people, disks and other programs is built quickly: at -O2 it compiles half as long again.
COLD      := tools/% tests/unit/% disk/% runtime/config/% runtime/events/% runtime/agent/% \
             runtime/node/arbiter% runtime/node/arguments.cpp %_main.cpp
COLD_OPT  ?= $(if $(filter file,$(origin OPT)),-Og)

ROOMS     := runtime drivers netif disk lockd tools
ALL_SRCS  := $(shell find $(ROOMS) -name '*.cpp' 2>/dev/null | sort)
MAIN_SRCS := $(filter %_main.cpp,$(ALL_SRCS))
LIB_SRCS  := $(filter-out %_main.cpp,$(ALL_SRCS))
LIB_OBJS  := $(LIB_SRCS:%.cpp=$(BUILD)/%.o) $(BUILD)/netif/gate_object.o

UNIT_SRCS := $(shell find tests/unit -name '*_test.cpp' 2>/dev/null | sort)
UNIT_BINS := $(UNIT_SRCS:%.cpp=$(BUILD)/%)

# The simulator compiles the very cores and codec of the daemon, with the seeded bugs' switches in.
SIM_CORE_SRCS := $(filter runtime/base/% runtime/core/% runtime/wire/%,$(LIB_SRCS))
# Optimised across files: it lives by its speed.
SIM_OPT   := -O2 -flto=auto
SIM_SRCS  := $(shell find tests/sim -name '*.cpp' 2>/dev/null | sort)
SIM_OBJS  := $(SIM_CORE_SRCS:%.cpp=$(BUILD)/sim/%.o) $(SIM_SRCS:%.cpp=$(BUILD)/sim/%.o)

FUZZ_SRCS := $(shell find tests/fuzz -name '*_fuzz.cpp' 2>/dev/null | sort)
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.cpp=$(BUILD)/fuzz/%)
FUZZ_LIB_SRCS := $(filter runtime/base/% runtime/core/% runtime/wire/% runtime/config/%,$(LIB_SRCS)) \
                 $(filter %serial_framing.cpp %control_protocol.cpp %tie_breaker_record.cpp %persistent_reservation.cpp,$(LIB_SRCS))
FUZZ_LIB_OBJS := $(FUZZ_LIB_SRCS:%.cpp=$(BUILD)/fuzz/%.o)

.DEFAULT_GOAL := all
.PHONY: all programs lab-programs bench-programs
all: deps-present programs compile_commands.json ## build every program that is installed

# What the demo, the system tests and the benchmarks run beside them is built when they are.
LAB_SRCS   := $(filter tools/demo/% tools/bench/%,$(filter-out tools/bench/bench-%,$(MAIN_SRCS)))
BENCH_SRCS := $(filter tools/bench/bench-%,$(MAIN_SRCS))
program_of  = $(foreach m,$(1),$(BUILD)/bin/$(patsubst %_main.cpp,%,$(notdir $(m))))

# The mains before the library, or the last one is compiled while the other processor waits.
programs: $(patsubst %.cpp,$(BUILD)/%.o,$(filter-out $(LAB_SRCS) $(BENCH_SRCS),$(MAIN_SRCS))) \
          $(call program_of,$(filter-out $(LAB_SRCS) $(BENCH_SRCS),$(MAIN_SRCS)))
lab-programs: $(LAB_SRCS:%.cpp=$(BUILD)/%.o) programs $(call program_of,$(LAB_SRCS))
bench-programs: lab-programs $(call program_of,$(BENCH_SRCS))

# ---- compiling -------------------------------------------------------------------------------------

# The standard library's headers are parsed once for each set of flags, not once for each file.
# `make PCH=` does without. Once precompiled, g++ 12 no longer takes them for system headers
# when it looks for overruns, and finds some in std::string that are none.
PCH ?= 1
PCH_WARN := -Winvalid-pch -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread
SIM_FLAGS := $(SIM_OPT) -DVIGIL_SEEDED_BUGS=1
STD_HEADER = $(if $(PCH),$(BUILD)/$(1)/std.hpp)
WITH_STD   = $(if $(PCH),$(PCH_WARN) -include $(STD_HEADER))

$(BUILD)/%.o: %.cpp | $(addsuffix .gch,$(call STD_HEADER,pch) $(call STD_HEADER,cold/pch))
	@mkdir -p $(@D)
	@echo "  CXX  $<"
	@$(CXX) $(CXXFLAGS_ALL) $(if $(filter $(COLD),$<),$(COLD_OPT) $(call WITH_STD,cold/pch),$(call WITH_STD,pch)) \
	  -MMD -MP -c $< -o $@

$(BUILD)/sim/%.o: %.cpp | $(addsuffix .gch,$(call STD_HEADER,sim/pch))
	@mkdir -p $(@D)
	@echo "  SIM  $<"
	@$(CXX) $(CXXFLAGS_ALL) $(SIM_FLAGS) $(call WITH_STD,sim/pch) -MMD -MP -c $< -o $@

$(BUILD)/cold/pch/std.hpp.gch: PCH_FLAGS = $(COLD_OPT)
$(BUILD)/sim/pch/std.hpp.gch: PCH_FLAGS = $(SIM_FLAGS)
.PRECIOUS: $(BUILD)/%/std.hpp.gch
$(BUILD)/%/std.hpp.gch: tools/make/std.hpp Makefile
	@mkdir -p $(@D)
	@echo "  PCH  $@"
	@cp $< $(@:.gch=)
	@$(CXX) $(CXXFLAGS_ALL) $(PCH_FLAGS) -x c++-header $< -o $@

$(BUILD)/libvigil.a: $(LIB_OBJS)
	@echo "  AR   $@"
	@rm -f $@ && ar rcs $@ $^

define program_rule
$(call program_of,$(1)): $(1:%.cpp=$(BUILD)/%.o) $(BUILD)/libvigil.a
	@mkdir -p $$(@D)
	@echo "  LD   $$@"
	@$(CXX) $(OPT) $(SANFLAGS) -o $$@ $$^ $$(LDLIBS_ALL)
endef
$(foreach m,$(MAIN_SRCS),$(eval $(call program_rule,$(m))))

# The lease gate: compiled for the kernel's BPF machine, carried inside the daemon.
$(BUILD)/netif/gate.bpf.o: netif/bpf/gate.bpf.c netif/bpf/gate_map.h
	@mkdir -p $(@D)
	@echo "  BPF  $<"
	@$(CLANG) -O2 -g -Wall -Werror -target bpf -I. -isystem /usr/include/$(shell $(CXX) -dumpmachine) -c $< -o $@

$(BUILD)/netif/gate_object.o: $(BUILD)/netif/gate.bpf.o
	@printf '.section .rodata\n.balign 16\n.global vigil_gate_object\nvigil_gate_object:\n.incbin "%s"\n.global vigil_gate_object_end\nvigil_gate_object_end:\n.byte 0\n.section .note.GNU-stack,"",@progbits\n' $< > $(BUILD)/netif/gate_object.S
	@$(CXX) -c $(BUILD)/netif/gate_object.S -o $@

# ---- tests -----------------------------------------------------------------------------------------

$(UNIT_BINS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libvigil.a
	@echo "  LD   $@"
	@$(CXX) $(OPT) $(SANFLAGS) -o $@ $^ -lcmocka $(LDLIBS_ALL)

$(BUILD)/bin/vigil-sim: $(SIM_OBJS)
	@mkdir -p $(@D)
	@echo "  LD   $@"
	@$(CXX) $(OPT) $(SIM_OPT) $(SANFLAGS) -o $@ $^ -lsodium -pthread

$(BUILD)/fuzz/%.o: %.cpp
	@mkdir -p $(@D)
	@echo "  FUZZ $<"
	@$(CLANGXX) -std=c++2b -O1 -g -Wall -Wextra -I. $(PKG_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c $< -o $@

$(FUZZ_BINS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(FUZZ_LIB_OBJS)
	@$(CLANGXX) -fsanitize=fuzzer,address,undefined -o $@ $^ -lsodium

.PHONY: unit sim-program fuzz-programs
unit: $(UNIT_BINS)
sim-program: $(BUILD)/bin/vigil-sim
fuzz-programs: $(FUZZ_BINS)

include tools/make/targets.mk

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
