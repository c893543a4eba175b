// A generator per thread, each seeded by the system.
#include "base/random.h"

#include <array>
#include <bit>
#include <random>

#include "base/hex.h"

namespace layover {

namespace {

class SystemRandom final : public Random {
 public:
  std::uint64_t next() override {
    thread_local std::mt19937_64 generator{seed()};
    return generator();
  }

 private:
  static std::uint64_t seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) ^ device();
  }
};

}  // namespace

std::string Random::next_hex() {
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(std::uint64_t)>>(next());
  std::string text;
  append_hex(text, bytes);
  return text;
}

Random& Random::system() {
  static SystemRandom random;
  return random;
}

}  // namespace layover
