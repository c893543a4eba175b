# layover_layer(NAME [LINKS targets...] [PRIVATE_LINKS targets...])
# One static library from all sources of the current folder. LINKS names the layers below, in the order
# that ARCHITECTURE.md gives, so that an include that goes up does not link either.
function(layover_layer name)
  cmake_parse_arguments(ARG "" "" "LINKS;PRIVATE_LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(NOT sources)
    return()
  endif()
  add_library(layover_${name} STATIC ${sources})
  target_link_libraries(layover_${name} PUBLIC ${ARG_LINKS} PRIVATE layover_flags layover_fuzzed ${ARG_PRIVATE_LINKS})
  if(LAYOVER_PRECOMPILE)
    layover_precompile(layover_${name} layover_base ${PROJECT_SOURCE_DIR}/cmake/precompiled.h)
  endif()
endfunction()

# layover_precompile(TARGET OWNER HEADER): OWNER compiles HEADER once, the others take it from there.
function(layover_precompile target owner header)
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${header})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# The layers do so only in the builds that are made often (see CMakePresets.json): in the release build, which
# clang-tidy reads too, a file that does not include what it uses is found.
option(LAYOVER_PRECOMPILE "Precompile the standard headers of the layers" OFF)
