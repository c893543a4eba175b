// Where libFuzzer enters a target.
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  layover::fuzz::fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
