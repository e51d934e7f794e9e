# `make demo` and `make test` set up everything they need, in .venv and build/.
#
# What has been done is remembered in stamp files; touching pyproject.toml, setup.py
# or a C source does it again. No virtual environment need be active, any may be.

VENV ?= .venv
FUZZ_SECONDS ?= 60
SANITIZE_CC ?= gcc
PYTEST_ARGS ?=
PYTEST := -n auto --benchmark-disable

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
CORE := src/encap/_core.c $(wildcard src/encap/core/*.[ch])
PACKAGE := pyproject.toml setup.py src/encap/_core_build.py $(CORE)
SOURCES := $(shell find src/encap -name '*.py' -o -name '*.pyi' -o -name py.typed)

unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH
.DELETE_ON_ERROR:
.PHONY: demo test lint sanitize fuzz bench docs clean

# A tunnel of our own. It carries what there is: Ethernet frames and IP packets.
OUTER := "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)/ipv4(src=192.0.2.1,dst=192.0.2.2)/udp/geneve(vni=42)"

demo: $(VENV)/.with-cli
	@mkdir -p build/demo
	@echo "An example of ten kinds of tunnels. Its last 84 packets are broken or odd on purpose."
	@echo && echo '$$ encap info examples/overlay.pcap'
	@$(VENV)/bin/encap info examples/overlay.pcap
	@echo && echo '$$ encap decap examples/overlay.pcap build/demo/inner.pcapng'
	@# Status 1 says that some packets could not be opened: the broken ones.
	@$(VENV)/bin/encap decap examples/overlay.pcap build/demo/inner.pcapng 2>&1 || test $$? -eq 1
	@echo && echo '$$ encap show build/demo/inner.pcapng -n 1 --skip 2'
	@$(VENV)/bin/encap show build/demo/inner.pcapng -n 1 --skip 2
	@echo '$$ encap encap build/demo/inner.pcapng build/demo/outer.pcap --with $(OUTER)'
	@$(VENV)/bin/encap encap build/demo/inner.pcapng build/demo/outer.pcap --with $(OUTER)
	@echo && echo '$$ encap decap build/demo/outer.pcap build/demo/again.pcapng'
	@$(VENV)/bin/encap decap build/demo/outer.pcap build/demo/again.pcapng
	@echo && echo '$$ cmp build/demo/inner.pcapng build/demo/again.pcapng'
	@cmp build/demo/inner.pcapng build/demo/again.pcapng
	@echo && echo "All went well. The packets that were in the tunnels are in build/demo/inner.pcapng,"
	@echo "and in a tunnel of our own in build/demo/outer.pcap; out of that one they are the same."
	@echo "The command is $(VENV)/bin/encap, or encap after: . $(VENV)/bin/activate"

test: $(VENV)/.with-test
	$(PY) -m pytest $(PYTEST) $(PYTEST_ARGS)

lint: $(VENV)/.with-lint docs
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(VENV)/bin/clang-format --dry-run -Werror $(CORE) $(wildcard fuzz/*.[ch])
	$(SANITIZE_CC) $(STRICT)
	@if command -v clang >/dev/null; then echo clang $(STRICT); clang $(STRICT); fi

# The core alone, without what cffi generates around it.
STRICT := -std=c11 -fsyntax-only -Wall -Wextra -Wconversion -Wshadow -Werror \
	-Wno-unused-function src/encap/_core.c

docs: $(VENV)/.with-docs
	$(PY) -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "The documentation is in build/docs/index.html"

bench: $(VENV)/.with-test
	$(PY) -m pytest -n 0 --benchmark-only benchmarks $(PYTEST_ARGS)
	$(PY) benchmarks/figures.py

# --- the environment ----------------------------------------------------------

# The newest of those that can make a virtual environment and build an extension.
define find_python
for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3 python; do \
	if "$$python" -c "$$probe" 2>/dev/null; then echo "$$python"; exit; fi; \
done; \
echo "Python 3.11 or newer is needed, with its venv module and its C headers" >&2; \
echo "(Debian, Ubuntu: apt-get install python3-venv python3-dev)" >&2; \
exit 1
endef

define probe
import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info < (3, 11) or not os.path.exists(header))
endef
export probe

# An environment whose interpreter is gone, or too old, is made anew.
$(VENV)/.made:
	@$(PY) -c "$$probe" 2>/dev/null || { \
		python=$$($(find_python)) && "$$python" -m venv --clear $(VENV); }
	@touch $@

$(VENV)/.with-encap: $(PACKAGE) | $(VENV)/.made
	$(PIP) install "setuptools>=77" "cffi>=1.17"
	$(PIP) install --no-build-isolation --editable .
	@# Pip compiles what it installs, but not what it only points to.
	@$(PY) -m compileall -q src/encap
	@touch $@

# encap-net is there already, so this installs what the extra asks for.
$(VENV)/.with-%: pyproject.toml | $(VENV)/.with-encap
	$(PIP) install "encap-net[$*]"
	@touch $@

# --- the core under the sanitizers ---------------------------------------------

SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer -O1 -g
RUNTIME = $(shell $(SANITIZE_CC) -print-file-name=libasan.so) \
	$(shell $(SANITIZE_CC) -print-file-name=libstdc++.so.6)
SANITIZED = PYTHONPATH=build/sanitize/lib PYTHONMALLOC=malloc LD_PRELOAD="$(RUNTIME)" \
	ASAN_OPTIONS=detect_leaks=0:log_path=$(REPORT) \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$(REPORT)
# What ASan says is kept in files; UBSan says it on standard error, which pytest is not to keep.
REPORT = $(CURDIR)/build/sanitize/report

# Tests of what is Python alone, and of what goes the same ways through the core as others do.
PURE := $(addprefix --ignore=tests/,headers test_house.py test_packet.py test_template.py) \
	$(addprefix --ignore-glob=tests/,test_cli*.py test_docs.py test_examples.py)

build/sanitize/.built: $(PACKAGE) $(SOURCES) | $(VENV)/.with-encap
	rm -rf build/sanitize
	CC="$(SANITIZE_CC)" CFLAGS="$(SANITIZERS)" $(PY) setup.py --quiet build \
		--build-base build/sanitize --build-lib build/sanitize/lib
	@touch $@

sanitize: $(VENV)/.with-test build/sanitize/.built
	$(SANITIZED) $(PY) -c \
		"from encap import _ffi; assert 'build/sanitize' in _ffi.__file__, _ffi.__file__"
	@rm -f $(REPORT).*
	$(SANITIZED) $(PY) -m pytest $(PYTEST) --hypothesis-profile=short -p no:cacheprovider \
		--capture=sys $(PURE) -m "not unsanitized" $(PYTEST_ARGS) || { cat $(REPORT).* 2>/dev/null; exit 1; }

# --- libFuzzer over the core, from the corpus that is committed ------------------

CLANG ?= $(firstword $(foreach name,clang $(foreach n,22 21 20 19 18 17 16 15 14,clang-$(n)),\
	$(shell echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' \
	| $(name) -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null && echo $(name))))

build/fuzz/fuzz_core: fuzz/fuzz_core.c $(wildcard fuzz/*.h) $(CORE)
	@mkdir -p $(@D)/corpus
	@test -n "$(CLANG)" || { \
		echo "No clang with libFuzzer was found (Debian: apt-get install clang libclang-rt-14-dev)"; \
		exit 1; } >&2
	$(CLANG) -std=c11 -O1 -g -fno-omit-frame-pointer -Isrc/encap \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $< -o $@

fuzz: build/fuzz/fuzz_core
	UBSAN_OPTIONS=print_stacktrace=1 $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
		-print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/corpus fuzz/corpus

clean:
	rm -rf build dist $(VENV) src/*.egg-info src/encap/_ffi*.so src/encap/_ffi*.pyd
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
