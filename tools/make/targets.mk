# The targets that people call. The Makefile above has the rules that build.

PACKAGES := g++ make pkg-config clang libclang-rt-14-dev llvm liburing-dev libnl-3-dev libnl-route-3-dev libbpf-dev libelf-dev \
            zlib1g-dev libsodium-dev libtomlplusplus-dev nlohmann-json3-dev libcli11-dev libcmocka-dev systemtap-sdt-dev \
            linux-libc-dev iproute2 iputils-ping iputils-arping nftables socat python3 stress-ng procps util-linux
PACKAGES_BENCH := keepalived
PACKAGES_MODEL := spin gcc libc6-dev python3
PACKAGES_DEV   := clang-format clang-tidy linux-perf bpftrace

INSTALLED := vigild vigil-agent vigil-arbiter vigil

SECONDS_FUZZ ?= 60
SEEDS_CHECK  ?= 10000
SEEDS_LONG   ?= 100000
SEEDS_SCALE  ?= 20
DEPTH        ?= short
MINUTES      ?= 5
NODES        ?= 3

.PHONY: deps deps-present deps-bench deps-dev deps-model help check-layers format tidy clean install uninstall
deps: ## install the Debian packages that building and testing need
	@tools/make/deps $(PACKAGES)
deps-bench:
	@tools/make/deps $(PACKAGES) $(PACKAGES_BENCH)
deps-dev:
	@tools/make/deps $(PACKAGES) $(PACKAGES_DEV)
deps-model:
	@tools/make/deps $(PACKAGES_MODEL)
# Cheap: asks dpkg, installs only what is missing.
deps-present:
	@tools/make/deps $(PACKAGES)

# ---- use it ----------------------------------------------------------------------------------------

.PHONY: demo
demo: deps-present ## a cluster on this machine that fails over before your eyes (root)
	@$(MAKE) --no-print-directory lab-programs
	@tools/demo/demo.py --bin $(BUILD)/bin --report build/demo/report.json

# ---- test it ---------------------------------------------------------------------------------------

.PHONY: check check-build check-unit check-sim check-fuzz check-system check-long check-texts
check: deps-present ## every test, under fifteen minutes (root)
	@tools/make/check $(BUILD) layers unit sim fuzz system
check-unit: deps-present ## unit tests alone
	@tools/make/check $(BUILD) unit
check-sim: deps-present ## the simulator: seeds, every way of three nodes, the seeded bugs, its own tests
	@tools/make/check $(BUILD) sim
check-fuzz: deps-present ## each fuzzer for some seconds over its corpus
	@tools/make/check $(BUILD) fuzz
check-system: deps-present ## real daemons in network namespaces (root)
	@tools/make/check $(BUILD) system
check-long: deps-present ## more seeds, longer fuzzing, thirty minutes of soak, everything of check (root)
	@SEEDS=$(SEEDS_LONG) EXHAUSTIVE_DEPTH=7 FUZZ_SECONDS=120 SOAK_MINUTES=30 tools/make/check $(BUILD) layers unit sim fuzz system soak

.PHONY: sim sim-scale fuzz
sim: deps-present ## SEEDS=100000: simulated clusters, invariants checked
	@$(MAKE) --no-print-directory sim-program
	@$(BUILD)/bin/vigil-sim --seeds $(SEEDS)
sim-scale: deps-present ## what clusters of 4 to 64 simulated nodes cost: traffic in quiet, each change of the view
	@$(MAKE) --no-print-directory sim-program
	@$(BUILD)/bin/vigil-sim --scale 4,8,16,32,64 --seeds $(SEEDS_SCALE)
fuzz: deps-present ## SECONDS_FUZZ=60 for each fuzzer, growing the corpus in build/corpus
	@FUZZ_SECONDS=$(SECONDS_FUZZ) tools/make/check $(BUILD) fuzz

.PHONY: soak
soak: deps-present ## MINUTES=5 NODES=3: real daemons under random faults; SEED=, BURST= replay (root)
	@$(MAKE) --no-print-directory lab-programs
	@tests/system/soak.py --bin $(BUILD)/bin --minutes $(MINUTES) --nodes $(NODES) \
	  $(if $(SEED),--seed $(SEED)) $(if $(BURST),--burst $(BURST))

.PHONY: model
model: deps-model ## the protocol as a SPIN model, checked to the end; DEPTH=long goes further
	@runtime/model/check $(BUILD)/model $(DEPTH)

# ---- measure it ------------------------------------------------------------------------------------

.PHONY: bench-failover bench-heartbeat bench-scale
bench-failover: deps-bench ## client-observed outages: QUICK=1, PEERS=1 for keepalived beside it (root)
	@$(MAKE) --no-print-directory lab-programs
	@tools/bench/failover.py --bin $(BUILD)/bin
bench-heartbeat: deps-present ## wake-up lateness and frame latency against a bare loop (root)
	@$(MAKE) --no-print-directory bench-programs
	@tools/bench/heartbeat.sh $(BUILD)

bench-scale: deps-present ## 32 real daemons on this machine, NODES=n for others: what each costs, how long a new view takes (root)
	@$(MAKE) --no-print-directory lab-programs
	@tools/bench/scale.py --bin $(BUILD)/bin --out $(BUILD)/bench/scale.json

# ---- keep it ---------------------------------------------------------------------------------------

check-layers: ## hold the includes against the map in runtime/DESIGN.md
	@tools/make/check-layers

compile_commands.json: Makefile $(ALL_SRCS) $(UNIT_SRCS) $(SIM_SRCS)
	@tools/make/compile-commands "$(CXX) $(CXXFLAGS_ALL)" $(ALL_SRCS) $(UNIT_SRCS) $(SIM_SRCS) > $@

format: deps-dev ## format every source with clang-format
	@clang-format -i $$(git ls-files '*.cpp' '*.hpp' '*.c' '*.h')

tidy: deps-dev compile_commands.json ## clang-tidy over every source
	@clang-tidy -p . --quiet $(LIB_SRCS) $(MAIN_SRCS)

install: all ## DESTDIR= PREFIX=: programs, manual pages, completion, systemd unit
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)/etc/vigil/arbiter.d
	install -m 0755 $(addprefix $(BUILD)/bin/,$(INSTALLED)) $(DESTDIR)$(PREFIX)/sbin
	install -m 0644 tools/ctl/vigil.8 tools/ctl/vigild.8 tools/ctl/vigil-arbiter.8 $(DESTDIR)$(PREFIX)/share/man/man8
	$(BUILD)/bin/vigil completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vigil
	install -m 0644 tools/ctl/vigil-arbiter.bash-completion \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vigil-arbiter
	for unit in vigild vigil-arbiter; do sed 's|@PREFIX@|$(PREFIX)|g' runtime/node/$$unit.service.in \
	  > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service; done

uninstall: ## take away what install put there
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/sbin/,$(INSTALLED)) \
	  $(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,vigil.8 vigild.8 vigil-arbiter.8) \
	  $(addprefix $(DESTDIR)$(PREFIX)/share/bash-completion/completions/,vigil vigil-arbiter) \
	  $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/system/,vigild.service vigil-arbiter.service)

clean: ## remove what was built
	@rm -rf build compile_commands.json

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{sub(/:.*/, "", $$1); printf "  %-18s %s\n", $$1, $$2}'
