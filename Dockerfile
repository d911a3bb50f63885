# The server as an image: one static binary, the certificates that it checks others by, and nothing to log in to.
#
#   docker build --tag jari .
#
# The same sources give the same binary on every machine: no paths (-trimpath), no state of the checkout (-buildvcs=false),
# no link to a C library. What is left is the base: a tag can be moved. To pin it for good, write its digest behind it,
# as in golang:1.26.8-bookworm@sha256:…, which `docker buildx imagetools inspect golang:1.26.8-bookworm` tells.

# On the builder's own processor, whatever the image is for: Go compiles for others, and emulation would be slow.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
ARG TARGETOS
ARG TARGETARCH
# The compiler of this image and no other, although go.mod could ask for one.
ENV CGO_ENABLED=0 \
    GOTOOLCHAIN=local \
    GOFLAGS=-mod=readonly \
    GOMODCACHE=/cache/modules \
    GOCACHE=/cache/build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/cache \
    GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o /out/jari ./cmd/jari
# For `jari dev --data /data`. A new volume takes its owner from here; a final stage without a shell can't make folders.
RUN mkdir /out/data

# For `jari backup` and `jari restore`, which call PostgreSQL's own programs: docker build --target backup. Not older than
# the server.
FROM postgres:15.14-bookworm AS backup
COPY --from=build /out/jari /usr/local/bin/jari
# Where backups are put. A new volume takes its owner from here.
COPY --from=build --chown=65532:65532 /out/data /backups
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/jari"]

FROM scratch
LABEL org.opencontainers.image.title="Jari" \
      org.opencontainers.image.licenses="Apache-2.0"
# For gateways that are reached by TLS. The zones of campaigns are inside the binary.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/jari /jari
# Nobody in particular, by number: there is no list of users in here, and an orchestrator that insists on non-root users
# can only see numbers.
USER 65532:65532
# The API. /livez, /readyz and /metrics listen on 127.0.0.1 unless JARI_OPS_LISTEN says otherwise, and are looked at by the
# orchestrator; without a shell there is no HEALTHCHECK to be had.
EXPOSE 8080
ENTRYPOINT ["/jari"]
CMD ["serve"]
