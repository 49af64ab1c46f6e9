# syntax=docker/dockerfile:1

# The pages.
FROM node:22-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

# The program, with the pages inside.
FROM rust:1.95-bookworm AS build
WORKDIR /andon
COPY . .
COPY --from=web /web/dist web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/andon/target \
    cargo build --locked --release && cp target/release/andon /usr/local/bin/andon

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home andon
COPY --from=build /usr/local/bin/andon /usr/local/bin/andon
USER andon
EXPOSE 8080 9464
ENTRYPOINT ["andon"]
CMD ["serve"]
