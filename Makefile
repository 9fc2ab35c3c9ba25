# make test    the whole suite; on Debian, as root, it installs what it tests against
# make install the two programs
GO     = go
PREFIX = /usr/local
CROSS  = openbsd/amd64 openbsd/arm64 freebsd/amd64 freebsd/arm64 netbsd/amd64 netbsd/arm64 \
	darwin/amd64 darwin/arm64 linux/arm64 linux/arm linux/riscv64

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags=-s ./cmd/keypaird
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags=-s ./cmd/keypaird-dns

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/keypaird
	install -m 0755 keypaird $(DESTDIR)$(PREFIX)/bin/keypaird
	install -m 0755 keypaird-dns $(DESTDIR)$(PREFIX)/libexec/keypaird/keypaird-dns

test: servers lint cross
	@if [ -f /etc/debian_version ] && [ "$$(id -u)" = 0 ]; then CI=true; export CI; fi; \
	$(GO) test -race -tags lean -timeout 20m ./...

# The servers that are tested against. Elsewhere than on Debian their tests say
# that they are left out.
servers:
	@sh .ci/servers

lint:
	@test -z "$$(gofmt -l acme cmd examples hooks renew)" || { gofmt -l acme cmd examples hooks renew; exit 1; }
	$(GO) vet -tags lean ./...
	$(GO) tool staticcheck -tags lean ./...

cross:
	@for t in $(CROSS); do \
		echo "building for $$t"; \
		CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -tags lean -o /dev/null ./cmd/keypaird && \
		CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -tags lean -o /dev/null ./cmd/keypaird-dns || exit 1; \
	done
	@for os in openbsd freebsd netbsd darwin; do \
		echo "vetting for $$os"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=amd64 $(GO) vet -tags lean ./acme/... ./cmd/... ./hooks/... ./renew/... || exit 1; \
	done

bench:
	$(GO) test -tags lean -run '^$$' -bench . -benchtime 3s ./acme ./renew/... ./hooks ./cmd/keypaird

.PHONY: build install test servers lint cross bench
