// The test runner's main function, and what sanitizers must be told about the libraries.
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif

#if __has_feature(thread_sanitizer)
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdarg>

// libuv closes its descriptors by bare system calls, which ThreadSanitizer does not see: what another thread
// opens under such a number then looks as if it were still the loop's. This is found before the C library's.
extern "C" long syscall(long number, ...) {
  std::array<long, 6> arguments{};
  va_list list;
  va_start(list, number);
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close(static_cast<int>(arguments[0]));
  static const auto next = reinterpret_cast<decltype(&syscall)>(dlsym(RTLD_NEXT, "syscall"));
  const auto [a, b, c, d, e, f] = arguments;
  return next(number, a, b, c, d, e, f);
}
#endif
