# stigstore for containers: one image, the actors and the command line.  The base is Debian 12.
FROM debian:bookworm-slim AS build
COPY packaging/install-packages.sh /src/packaging/install-packages.sh
RUN /src/packaging/install-packages.sh build
COPY . /src
RUN cmake -S /src -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DSTIGSTORE_TESTS=OFF \
 && cmake --build /build \
 && cmake --install /build --prefix /usr/local --strip

FROM debian:bookworm-slim
COPY packaging/install-packages.sh /tmp/install-packages.sh
RUN /tmp/install-packages.sh run && rm -rf /tmp/install-packages.sh /var/lib/apt/lists/*
COPY --from=build /usr/local /usr/local
RUN ldconfig \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/stigstore stigstore \
 && install -d -o stigstore -g stigstore -m 0700 /var/lib/stigstore
USER stigstore
VOLUME /var/lib/stigstore
ENV STIGSTORE_URL=ipc:///var/lib/stigstore/run/broker.sock
CMD ["stigstore", "serve", "--db", "/var/lib/stigstore/stigmer.sqlite", "--endpoint", "ipc:///var/lib/stigstore/run/broker.sock"]
