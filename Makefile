# mudguard: make demo shows it, make test runs everything, make release builds the binaries.
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# No clock is right that is older than the code (a router without a battery starts in 1970).
BUILT     ?= $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS   := -s -w -X main.version=$(VERSION) -X main.built=$(BUILT)
# We speak HTTP/1.1 only, and names are resolved by Go's own code: half a megabyte less.
TAGS      := nethttpomithttp2,netgo,osusergo
TARGETS   ?= amd64 arm64 armv7 mips mipsle
# Calls instead of inlined code: flash is dearer than a microsecond, and this is a tenth of the binary.
GCFLAGS   := -gcflags=all=-l
# Small routers: no demo.
SMALL     := armv7 mips mipsle
# 12 MiB a binary: it must fit a router (aim: 10).
MAX_BYTES := 12582912
# Runs per target. A time, such as 1m, works too; but where a minimisation is running as it ends, go test fails with
# "context deadline exceeded" and no finding.
FUZZTIME  ?= 20000x
SOAK      ?= 1h
SUDO      := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES  := qemu-system-x86 busybox-static kmod nftables iproute2 udhcpc isc-dhcp-client dhcpcd-base dnsmasq-base openssl conntrack libyang2-tools procps mosquitto mosquitto-clients mandoc zsh fish chromium systemd
TOOLS     := qemu-system-x86_64 busybox depmod nft ip udhcpc dhclient dhcpcd dnsmasq openssl conntrack yanglint ps mosquitto mosquitto_sub mandoc zsh fish chromium systemd-analyze

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: all build man demo test deps lint vuln fuzz bench soak release sbom reproduce clean

all: build

build:
	CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/mudguard ./cmd/mudguard

# man writes the manual pages and the completions, where a package takes them from.
man: build
	bin/mudguard man dist/man
	mandoc -T lint -W warning dist/man/*.1
	@mkdir -p dist/completions; for s in bash zsh fish; do bin/mudguard completion $$s > dist/completions/mudguard.$$s; done

# demo needs nothing but Go and a kernel with nftables: the program makes its own networks and servers.
demo: build
	$(SUDO) bin/mudguard demo $(if $(WEB),--web)

# test runs everything, also the tests with real clients and packets: those need root.
test: deps
	go vet ./...
	$(SUDO) env "PATH=$$PATH" go test -race -count=1 -timeout 30m ./...

# deps installs the programs that tests use as the other side. The product itself runs none.
deps:
	@for t in $(TOOLS); do PATH="$$PATH:/usr/sbin:/sbin" command -v $$t >/dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then $(SUDO) apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $(PACKAGES); fi

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

# vuln needs the vulnerability database, which not every network reaches.
vuln:
	go run $(GOVULNCHECK) ./...

fuzz:
	@set -e; for p in $$(go list ./...); do \
	for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done

# bench measures the rows P1 to P9 and R1 to R3 of docs/benchmarks.md beside others' ways, in some four minutes. For figures worth
# keeping the machine should have nothing else to do.
bench: deps
	$(SUDO) env "PATH=$$PATH" go test -run '^$$' -bench Figures -benchtime 1x -timeout 20m ./bench -page '$(CURDIR)/docs/benchmarks.md'

# soak lets devices come and go, names change and packets be denied for a long time, and looks for what grows.
soak: deps
	$(SUDO) env "PATH=$$PATH" MUDGUARD_SOAK=$(SOAK) go test -count=1 -timeout 0 -run '^TestSoak$$' -v ./acceptance

release:
	@mkdir -p dist; set -e; \
	for t in $(TARGETS); do \
	arch=$${t%v7}; tags=$(TAGS); out=dist/mudguard-linux-$$t; \
	case " $(SMALL) " in *" $$t "*) tags=$$tags,mudguard_omit_demo;; esac; \
	CGO_ENABLED=0 GOOS=linux GOARCH=$$arch GOARM=7 GOMIPS=softfloat \
	go build -trimpath -buildvcs=false -tags $$tags $(GCFLAGS) -ldflags '$(LDFLAGS)' -o $$out ./cmd/mudguard; \
	size=$$(stat -c %s $$out); echo "$$out $$size bytes"; \
	[ $$size -le $(MAX_BYTES) ] || { echo "$$out is larger than $(MAX_BYTES) bytes"; exit 1; }; done

# sbom lists what a release is made of, as the binary itself tells (T26).
sbom:
	$(MAKE) release TARGETS=amd64
	go version -m dist/mudguard-linux-amd64 | awk -v version='$(VERSION)' \
	-v built="$$(TZ=UTC date -d '$(BUILT)' +%Y-%m-%dT%H:%M:%SZ)" -f .ci/sbom.awk > dist/mudguard.spdx

# reproduce builds once more, elsewhere and from nothing, and compares (T26).
reproduce: release
	@set -e; other=$$(mktemp -d); trap 'rm -rf '$$other EXIT; git ls-files -z | xargs -0 cp --parents -t $$other; \
	GOCACHE=$$other/cache $(MAKE) -C $$other release TARGETS=amd64 VERSION='$(VERSION)' BUILT='$(BUILT)'; \
	cmp dist/mudguard-linux-amd64 $$other/dist/mudguard-linux-amd64

clean:
	rm -rf bin dist
