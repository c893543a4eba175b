# The Debian packages that each purpose needs, by name. Sourced by ./run, ./test and ./bench.
# An entry "package/command" also counts as installed where another package brought that command.

BUILD_PACKAGES=(
  clang-19 lld-19 libclang-rt-19-dev cmake ninja-build pkg-config ca-certificates
  libuv1-dev node-llhttp libssl-dev liblmdb-dev zlib1g-dev
  nlohmann-json3-dev prometheus-cpp-dev libcli11-dev libfmt-dev
)

# Unit and integration tests, and the style checks that are fast.
TEST_PACKAGES=(catch2 libbenchmark-dev python3 clang-format-19)

# Everything else that a full run needs: readable sanitizer reports, static analysis, and the engines,
# registry and tools of the end-to-end tests.
FULL_TEST_PACKAGES=(
  llvm-19 clang-tidy-19 python3-pytest python3-yaml curl jq openssl iproute2 lmdb-utils attr
  docker-registry containerd/containerd runc/runc docker.io/dockerd podman buildah skopeo umoci
  debootstrap busybox-static systemd/systemd-analyze prometheus/promtool nginx wrk
)

# ./bench: the contenders and the clients.
BENCH_PACKAGES=(
  python3 nginx docker-registry varnish squid wrk nghttp2-client curl skopeo containerd/containerd iproute2
  libbenchmark-dev
)
