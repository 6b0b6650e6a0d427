# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /src
# Without a .git folder in the context the commit comes from here: docker build --build-arg PARSER_COMMIT=$(git rev-parse --short=12 HEAD) .
ARG PARSER_COMMIT=unknown
ENV PARSER_COMMIT=${PARSER_COMMIT}
RUN apt-get update && apt-get install -y --no-install-recommends libssl-dev pkg-config && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --features kafka && cp target/release/parser /usr/local/bin/parser

FROM debian:bookworm-slim
# TLS checks certificates against the system's store.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3 && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /home/parser parser \
    && mkdir /state && chown parser:parser /state
COPY --from=build /usr/local/bin/parser /usr/local/bin/parser
USER parser
WORKDIR /home/parser
ENV STATE_PATH=/state
VOLUME /state
STOPSIGNAL SIGTERM
ENTRYPOINT ["parser"]
CMD ["run", "--resume"]
