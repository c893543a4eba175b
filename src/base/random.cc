// A generator per thread, each seeded by the system.
#include "base/random.h"

#include <random>

#include <fmt/format.h>

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

std::string Random::next_hex() { return fmt::format("{:016x}", next()); }

Random& Random::system() {
  static SystemRandom random;
  return random;
}

}  // namespace layover
