# syntax=docker/dockerfile:1
# `docker build .` makes the image whose command is a crawl; `--target server` one that serves and is asked for its health.
FROM rust:1.95-bookworm AS build
# For the Kafka client: a C library that speaks TLS through OpenSSL. (Pinned by the distribution's release.)
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libssl-dev make pkg-config && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Without a .git folder in the context the commit comes from here: docker build --build-arg PARSER_COMMIT=$(git rev-parse --short=12 HEAD) .
ARG PARSER_COMMIT=unknown
ENV PARSER_COMMIT=${PARSER_COMMIT}
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --features kafka && cp target/release/parser /usr/local/bin/parser

FROM debian:bookworm-slim AS runtime
# TLS checks certificates against the system's store.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3 && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --create-home --home-dir /home/parser parser \
    && mkdir /state && chown parser:parser /state
COPY --from=build /usr/local/bin/parser /usr/local/bin/parser
# By number: Kubernetes cannot tell that a name is not root.
USER 10001:10001
WORKDIR /home/parser
ENV STATE_PATH=/state
VOLUME /state
STOPSIGNAL SIGTERM
ENTRYPOINT ["parser"]

FROM runtime AS server
ENV LISTEN=0.0.0.0:8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["parser", "healthcheck"]
CMD ["serve"]

# The last one is what `docker build .` makes. A crawl listens nowhere, so there is nothing to ask for its health.
FROM runtime AS crawl
CMD ["run", "--resume"]
