// The test runner's main function, and what sanitizers must be told about the libraries.
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif

// Asked by ThreadSanitizer at its start. libuv closes its descriptors by bare system calls, which are not
// seen: a directory that is opened under the number of one looks as if it had been the other thread's.
// NOLINTNEXTLINE(*-reserved-identifier,cert-*)
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:closedir\n"; }
