# The targets that people call. The Makefile above has the rules that build.

PACKAGES := g++ make pkg-config clang libclang-rt-14-dev llvm liburing-dev libnl-3-dev libnl-route-3-dev libbpf-dev libelf-dev \
            zlib1g-dev libsodium-dev libtomlplusplus-dev nlohmann-json3-dev libcli11-dev libcmocka-dev systemtap-sdt-dev \
            iproute2 iputils-ping iputils-arping nftables socat python3 stress-ng procps util-linux
PACKAGES_BENCH := keepalived
PACKAGES_DEV   := clang-format clang-tidy bear linux-perf

.PHONY: deps deps-present deps-bench deps-dev help check-layers format tidy clean
deps: ## install the Debian packages that building and testing need
	@tools/make/deps $(PACKAGES)
deps-bench: deps
	@tools/make/deps $(PACKAGES_BENCH)
deps-dev: deps
	@tools/make/deps $(PACKAGES_DEV)
# Cheap: asks dpkg, installs only what is missing.
deps-present:
	@tools/make/deps $(PACKAGES)

check-layers: ## hold the includes against the map in runtime/DESIGN.md
	@tools/make/check-layers

compile_commands.json: Makefile $(ALL_SRCS) $(UNIT_SRCS) $(SIM_SRCS)
	@tools/make/compile-commands "$(CXX) $(CXXFLAGS_ALL)" $(ALL_SRCS) $(UNIT_SRCS) $(SIM_SRCS) > $@

format: deps-dev ## format every source with clang-format
	@clang-format -i $$(git ls-files '*.cpp' '*.hpp' '*.c' '*.h')

tidy: deps-dev compile_commands.json ## clang-tidy over every source
	@clang-tidy -p . --quiet $(LIB_SRCS) $(MAIN_SRCS)

clean: ## remove what was built
	@rm -rf build compile_commands.json

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'
