# The gateway in two stages: a build with Debian's compiler tools, and an image with the binary and the system's CAs.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY envelope envelope
COPY keys keys
COPY receipts receipts
COPY src src
RUN cargo build --release --locked --bin lethe

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/lethe --create-home lethe \
 && install -d -o lethe -g lethe -m 0700 /root-volume /backup /log /signing
COPY --from=build /src/target/release/lethe /usr/local/bin/lethe
USER lethe
WORKDIR /var/lib/lethe
EXPOSE 9443
ENTRYPOINT ["lethe"]
CMD ["serve", "--config", "/etc/lethe/lethe.toml"]
