# Compiler, language level, warnings and sanitizers for every target.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR
    "g++ ${CMAKE_CXX_COMPILER_VERSION} silently miscompiles ordinary coroutines (a co_await in a bare "
    "if condition never resumes; captures in an awaited expression are freed twice). "
    "Use clang 19: cmake --preset release")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(LAYOVER_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")
option(LAYOVER_WERROR "Treat warnings as errors" ON)

# Carries the flags; every target of ours links it, third-party code does not.
add_library(layover_flags INTERFACE)
target_compile_options(layover_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wnull-dereference -Wimplicit-fallthrough
  -Wunused -Wextra-semi -Wmissing-declarations)
if(LAYOVER_WERROR)
  target_compile_options(layover_flags INTERFACE -Werror)
endif()
target_include_directories(layover_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)

if(LAYOVER_SANITIZE)
  # Reports need no more than lines, and a build without the rest is a fifth faster.
  add_compile_options(-fsanitize=${LAYOVER_SANITIZE} -fno-omit-frame-pointer -gline-tables-only)
  add_link_options(-fsanitize=${LAYOVER_SANITIZE})
  if(LAYOVER_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
else()
  add_compile_options(-fstack-protector-strong)
  if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    add_compile_definitions(_FORTIFY_SOURCE=2)
  endif()
endif()

# Fuzzing belongs to the build with the address sanitizer, which sees what an input breaks.
set(fuzz_by_default OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND LAYOVER_SANITIZE MATCHES "address")
  set(fuzz_by_default ON)
endif()
option(LAYOVER_FUZZ "Build the fuzz targets (tests/fuzz)" ${fuzz_by_default})

# What is fuzzed links it: its code then counts the edges and comparisons that an input reaches, which is what
# guides libFuzzer.
add_library(layover_fuzzed INTERFACE)
if(LAYOVER_FUZZ)
  target_compile_options(layover_fuzzed INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  find_program(LAYOVER_LLD NAMES ld.lld-19 ld.lld)
  if(LAYOVER_LLD)
    add_link_options(--ld-path=${LAYOVER_LLD})
  endif()
endif()
