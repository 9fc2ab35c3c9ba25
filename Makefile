# make         the programs
# make install installs below PREFIX what make has built, the manual pages and
#              completions; make uninstall removes it
# make test    the whole suite; on Debian, as root, it installs what it tests against
# make check   all that CI runs: make test, staticcheck, the types of every platform and
#              DNS provider, known vulnerabilities, every moment of tests that else take some
# make race    the suite with the race detector
# make lint    gofmt, vet and staticcheck alone
# make bench   the benchmarks that CONTRIBUTING.md quotes
# make dist    archives of all platforms, .deb and .rpm, SBOMs and SHA256SUMS, in dist,
#              after every DNS provider was built and opened
# make deb, make rpm, make image: one of them, for this machine's architecture
# make prove   that dist writes the same bytes twice, and that the .deb does on a booted
#              Debian 12 what it should, with a CA: as root, with mmdebstrap,
#              systemd-nspawn and iproute2
GO     = go
PREFIX = /usr/local
MANDIR = $(PREFIX)/share/man
CROSS  = openbsd/amd64 openbsd/arm64 freebsd/amd64 netbsd/amd64 darwin/arm64 linux/arm64 linux/arm linux/riscv64
BUILT  = openbsd/amd64
DIRS   = acme cmd examples hooks renew
STEPCA = cmd/keypaird/testdata/script/stepca*.txtar
SKIPS  = $$([ -x /usr/local/sbin/step-ca ] && echo 0 || ls $(STEPCA) | wc -l)
RACE   =
# Completions: where below PREFIX/share, and of which shell.
SHELLS = bash-completion/completions/keypaird:bash zsh/site-functions/_keypaird:zsh fish/vendor_completions.d/keypaird.fish:fish
# A test binary with the race detector waits a second when it ends: not 250 times.
# Without the race detector tests are built as the programs are that they start: once.
CGO    = $(if $(RACE),true,CGO_ENABLED=0; export CGO_ENABLED)
RUN    = $(CGO); case "$$(id -u),$$(ls /etc/debian_version 2>/dev/null)" in 0,?*) CI=true; export CI; most="-skips $(SKIPS)";; esac; \
	GORACE="$${GORACE:-atexit_sleep_ms=0}"; export GORACE; $(GO) run .ci/gotest/main.go $$most -vet=off -p $(if $(RACE),2,3) -parallel 4 -tags lean -timeout 20m

# One directory below cmd is one program.
build: new-enough
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags=-s -o ./ ./cmd/keypaird ./cmd/keypaird-*

new-enough:
	@want=$$(sed -n 's/^go 1\.\([0-9]*\).*/\1/p' go.mod); has=$$($(GO) version 2>&1); \
	n=$$(echo "$$has" | sed -n 's/.* go1\.\([0-9]*\).*/\1/p'); [ "$${n:-0}" -ge "$$want" ] || { \
		echo "keypaird needs Go 1.$$want or newer, and this is: $$has"; \
		echo "Go 1.21 or newer fetches it: GOTOOLCHAIN=auto make. Else take it from https://go.dev/dl/"; exit 1; }

# It needs no Go and builds nothing: it may be run as root in a tree of another user.
install:
	@for p in cmd/*; do [ -x "$${p#cmd/}" ] || { echo "$${p#cmd/} is not built yet: run make, not as root, then make install"; exit 1; }; done
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/keypaird
	install -m 0755 keypaird $(DESTDIR)$(PREFIX)/bin/keypaird
	for p in cmd/keypaird-*; do install -m 0755 "$${p#cmd/}" $(DESTDIR)$(PREFIX)/libexec/keypaird/ || exit 1; done
	for m in cmd/keypaird*/*.[1-9]; do [ -e "$$m" ] || continue; \
		install -d $(DESTDIR)$(MANDIR)/man$${m##*.} && install -m 0644 "$$m" $(DESTDIR)$(MANDIR)/man$${m##*.}/ || exit 1; done
	for s in $(SHELLS); do f=$(DESTDIR)$(PREFIX)/share/$${s%:*}; \
		install -d "$${f%/*}" && install -m 0644 cmd/keypaird/completion/keypaird.$${s##*:} "$$f" || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/keypaird $(DESTDIR)$(MANDIR)/man[1-9]/keypaird.* $(DESTDIR)$(MANDIR)/man[1-9]/keypaird-*
	rm -rf $(DESTDIR)$(PREFIX)/libexec/keypaird
	for s in $(SHELLS); do rm -f $(DESTDIR)$(PREFIX)/share/$${s%:*}; done
	@echo "keys, accounts and configuration are left where they are"

# The commit that is checked out, not the changed tree. LEAN=lean builds in a minute,
# with a dozen DNS providers; else all are proven first.
dist: $(if $(LEAN),,providers)
	$(GO) run ./.ci/dist -tags "$(LEAN)" -o dist linux/amd64 $(CROSS)

deb rpm image:
	$(GO) run ./.ci/dist -tags "$(LEAN)" -o dist -kinds $@ linux/$$($(GO) env GOARCH)

prove:
	GO='$(GO)' sh .ci/prove/run

# Where all servers can be installed, a test that is skipped hides something:
# more than SKIPS are a failure: none, or the stories of a step-ca that could not be
# built. Tests wait more than they work: so four at a time, of three packages. Those that
# take longest are first: all others are compiled and run beside them, and none is left to
# run alone at the end. While servers are installed, vet compiles; the second call waits for
# the first, and says what went wrong.
test:
	@GO='$(GO)' sh .ci/servers >/dev/null 2>&1 & $(MAKE) vet
	@$(MAKE) servers
	@$(RUN) $(RACE) ./cmd/keypaird ./hooks/servers ./renew/years ./renew/status ./... ./.ci/dist

# The servers that are tested against. Elsewhere than on Debian their tests say
# that they are left out.
servers:
	@GO='$(GO)' sh .ci/servers

lint: vet staticcheck

# Vet and staticcheck read what the tests are built of.
vet:
	@test -z "$$(gofmt -l $(DIRS) .ci)" || { gofmt -l $(DIRS) .ci; exit 1; }
	@$(CGO); $(GO) vet $(RACE) -tags lean ./... ./.ci/dist ./.ci/gotest ./.ci/platforms

staticcheck:
	@$(CGO); tool=$$(CGO_ENABLED=0 $(GO) tool -n staticcheck) && echo staticcheck && GOFLAGS="$$GOFLAGS $(RACE)" "$$tool" -tags lean ./...

# Tests wait more than they work, so what waits for nothing runs beside them, at the
# lowest priority, and is waited for.
check:
	@GO='$(GO)' sh .ci/servers >/dev/null 2>&1 & $(MAKE) staticcheck
	@log=$$(mktemp); nice -n 19 $(MAKE) beside >"$$log" 2>&1 & beside=$$!; \
	status=0; \
	$(MAKE) --no-print-directory exhaustive || status=1; $(MAKE) --no-print-directory test || status=$$?; \
	wait $$beside || { cat "$$log"; status=1; }; rm -f "$$log"; exit $$status

beside: cross vulnerabilities

race:
	@$(MAKE) RACE=-race test

# The program with all providers: each is opened, in a process that is confined. CI checks
# its types only: to compile the 200 modules of providers takes as long as all the rest.
providers:
	CGO_ENABLED=0 $(GO) test -run TestFullProgramHasAllProviders ./cmd/keypaird-dns/child
	CGO_ENABLED=0 $(GO) vet ./cmd/keypaird-dns

# Without the race detector: it proves nothing about a process that is killed. Two hundred
# kills of the whole program take ten minutes, and are left to who changes what they test.
exhaustive: servers
	@KEYPAIRD_TEST_EXHAUSTIVE=true; export KEYPAIRD_TEST_EXHAUSTIVE; \
	$(RUN) -run '^(TestEverySystemCall|TestShortLived|TestDisturbedYears|TestYears|TestSingleIssuance|TestIssuedTwiceWithoutFence)$$' ./renew/keypair ./renew/years ./renew/fleet

# The types of all packages and tests on every platform, and of what has all providers
# on this one, which takes seconds for each.
platforms:
	@echo $(CROSS)

cross:
	@$(GO) run .ci/platforms/main.go -tags lean $(CROSS)
	@$(GO) run .ci/platforms/main.go $$($(GO) env GOOS)/$$($(GO) env GOARCH)

# One that is not Linux is built, linked and vetted as well; BUILT="$$(make -s platforms)"
# does so for all, and dist builds them all.
built:
	@for t in $(BUILT); do \
		echo "building and vetting for $$t"; \
		CGO_ENABLED=0; GOOS=$${t%/*}; GOARCH=$${t#*/}; export CGO_ENABLED GOOS GOARCH; \
		$(GO) build -tags lean ./cmd/keypaird ./cmd/keypaird-dns ./cmd/keypaird-fleet ./cmd/keypaird-names || exit 1; \
		$(GO) vet -tags lean ./acme/... ./cmd/... ./hooks/... ./renew/... || exit 1; \
	done

vulnerabilities:
	@if getent hosts vuln.go.dev >/dev/null 2>&1; then \
		$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 -tags lean ./...; \
	else \
		echo "govulncheck left out: its data base cannot be reached from here"; \
	fi

bench:
	$(GO) test -tags lean -run '^$$' -bench . -benchtime 3s ./acme ./renew/... ./hooks ./cmd/keypaird

.PHONY: race build new-enough install uninstall dist deb rpm image prove test servers lint vet staticcheck check beside built providers exhaustive platforms cross vulnerabilities bench
