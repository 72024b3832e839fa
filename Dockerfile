# Both components: docker build --target operator . and docker build --target data-plane .

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package operator --package dataplane

FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=build /src/target/release/whatsapp-operator /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/whatsapp-operator"]

FROM gcr.io/distroless/cc-debian12:nonroot AS data-plane
COPY --from=build /src/target/release/whatsapp-dataplane /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/whatsapp-dataplane"]
